"""A checkout in which a study trains while something goes wrong, and what is left of it afterwards."""

import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checkout import TINY, Checkout

#: two runs in one pack, each of two epochs and a few seconds: long enough to be hit in the middle
STUDY = (
    TINY.replace("iterations: 12", "iterations: 64")
    .replace("batch_size: 64", "batch_size: 32")
    .replace("needs_gpu: false", "needs_gpu: false, checkpoint_seconds: 0.2")
)
#: what a run leaves
ARTEFACTS = ("model.safetensors", "history.csv", "predictions.npz", "run.json")
#: seconds after which a scene is stuck
PATIENCE = 300


@dataclass(frozen=True)
class Verdict:
    """After a fault: finished artefacts that vanished (None where none were finished before), trainings begun again,
    and whether all bytes are right."""

    lost: int | None
    trained_twice: int
    equal: bool

    @property
    def harmless(self) -> bool:
        """Nothing lost, nothing done twice, no byte changed."""
        return not self.lost and not self.trained_twice and self.equal


class Scene:
    """One study under one fault.

    `arguments` are those of its Snakemake: without any, one core of this machine. `undisturbed` is the folder of the
    same study without a fault: its data are ready here too.
    """

    def __init__(self, folder: Path, *arguments: str, undisturbed: Path | None = None) -> None:
        self.checkout = Checkout(folder)
        self.folder, self.undisturbed = folder, undisturbed
        if undisturbed:
            shutil.copytree(undisturbed / "data", folder / "data")
        self.checkout.study("faults", STUDY)
        self.arguments = ["--until", "publish", *(arguments or ("--cores", "1"))]
        self.environment = dict(os.environ)
        self.kept: dict[Path, int] = {}
        self.at_end: list[list[str]] = []

    def __enter__(self) -> "Scene":
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes("."):
            os.kill(process, signal.SIGKILL)
        for command in self.at_end:
            subprocess.run(command, check=True)

    # --- what happens ---------------------------------------------------------------------------------------

    def start(self, *more: str) -> subprocess.Popen:
        """Start Snakemake in a process group of its own."""
        with (self.folder / "head.log").open("a") as log:
            return subprocess.Popen(
                self.checkout.command(*self.arguments, *more, study="faults"), cwd=self.folder, env=self.environment,
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def finish(self, head: subprocess.Popen | None = None, *more: str, code: int = 0) -> None:
        """Wait for Snakemake (started here, unless it runs already) to end as it should."""
        head = head or self.start(*more)
        try:
            ended = head.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            raise AssertionError(f"stuck after {PATIENCE} s:\n{self.said()}") from None
        assert (ended == 0) == (code == 0), self.said()

    def resume(self, head: subprocess.Popen | None = None) -> None:
        """Wait for Snakemake to end as it should, with a training that was cut off and went on from its state."""
        self.finish(head)
        again = [begun for run in self.beginnings() for begun in run[1:]]
        assert again and all(again), f"nothing was cut off, or began anew:\n{self.said()}"

    def finish_once(self, head: subprocess.Popen | None = None) -> None:
        """Wait for Snakemake to end as it should, with every run begun once: nobody trained what another one trains."""
        self.finish(head)
        assert self.beginnings() == [[0], [0]], self.said()

    def until(self, happened: Callable[[], object]) -> None:
        """Wait for something that the study does."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, f"did not happen:\n{self.said()}"
            time.sleep(0.01)

    def until_training(self, finished: int = 0) -> None:
        """Wait until a run has written state, and so many others are finished."""
        self.until(lambda: len(self.receipts()) >= finished and self.states())

    def start_to_second_run(self) -> subprocess.Popen:
        """Start Snakemake; its first run is finished, and remembered, when the second has written state."""
        head = self.start()
        self.until_training(finished=1)
        self.remember_finished()
        return head

    # --- what is there --------------------------------------------------------------------------------------

    def states(self) -> list[Path]:
        """Resumable states on the disk; that of a run which has just finished is not, and soon gone."""
        written = (self.folder / "results/store").glob("*/state*")
        return [state for state in written if not (state.parent / "finished.json").exists()]

    def receipts(self) -> list[Path]:
        """One file for each run that is finished in the store."""
        return list((self.folder / "results/store").glob("*/finished.json"))

    def processes(self, pattern: str) -> list[int]:
        """Processes that work in this scene and whose command line matches, the oldest first."""
        found = []  # numbers of processes begin again at the top of their range: they tell no age
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                here = (entry / "cwd").readlink() == self.folder
                began = int((entry / "stat").read_text().rpartition(")")[2].split()[19])
            except (OSError, ValueError):
                continue
            if here and re.search(pattern, line):
                found.append((began, int(entry.name)))
        return [process for _, process in sorted(found)]

    def packs(self) -> list[int]:
        """The processes of the running pack: the one that watches, then its children."""
        return self.processes(r"^\S*python\S* -m tokenmix\.training\.pack")

    def beginnings(self) -> list[list[int]]:
        """For each run the iterations that were done already whenever its training began."""
        logs = (self.folder / "logs/train").glob("phantom*.log")
        return [[int(done) for done in re.findall(r"iterations, (\d+) of them done", log.read_text())] for log in logs]

    def said(self) -> str:
        """All that Snakemake, the packs and the runs said."""
        logs = [self.folder / "head.log", *sorted((self.folder / "logs").glob("*/*.log"))]
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in logs if path.exists())

    # --- what is left ---------------------------------------------------------------------------------------

    def remember_finished(self) -> None:
        """What is finished now must be there at the end, untouched."""
        for receipt in self.receipts():
            for name in ARTEFACTS:
                self.kept[receipt.parent / name] = (receipt.parent / name).stat().st_ino

    def verdict(self) -> Verdict:
        """Compare with the study that nothing happened to."""
        assert self.undisturbed
        lost = sum(not path.exists() for path in self.kept) if self.kept else None
        twice = sum(path.exists() and path.stat().st_ino != file for path, file in self.kept.items())
        for run in self.beginnings():
            # a training that begins behind the place from which an earlier one of the same run went on
            twice += sum(after < before for before, after in itertools.pairwise(run))
        return Verdict(lost, twice, digests(self.folder) == digests(self.undisturbed))


#: does something to a study that trains, and sees it to its end; its docstring says how
Fault = Callable[[Scene], None]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every published artefact, `run.json` without `execution`."""
    found = {}
    for path in sorted((folder / "results/runs").glob("*/*")):
        content = path.read_bytes()
        if path.name == "run.json":
            attestation = json.loads(content)
            del attestation["execution"]
            content = json.dumps(attestation, sort_keys=True).encode()
        found[f"{path.parent.name}/{path.name}"] = hashlib.sha256(content).hexdigest()
    return found
