"""`make faults`: every fault many times, and the table of what they left.

    python -m tests.faults [--times 20] [--only NAME ...] [--out FILE]

Faults of a cluster need root, slurm-wlm and munge; where those are missing they are left out, and the table says so.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import cluster, local
from faults.scene import Fault, Scene

SCRIPT = Path(__file__).parents[1] / "slurm" / "cluster"
INTRODUCTION = """\
# What was done to trainings, and what it changed

Written by `make faults`, which does each fault as often as its line says (twenty times, unless it was told otherwise)
and takes hours; the test suite does each once. The study has two runs in one pack; unless a line says otherwise the
fault comes when the first one is finished and the second has written state (those that are about two heads: when the
first one has; every run of theirs must begin exactly once). *Lost* counts finished artefacts that were gone at the
end, *trained twice* artefacts that were made again and trainings that began behind where an earlier attempt had gone
on from, *bytes equal* the studies whose published files are those of an undisturbed one (`run.json` without its
`execution`). Where nothing was finished before, nothing could be lost (–). Seconds are those of the whole study, with
the fault and the waiting.
"Out of memory" is a SIGKILL that we send: the cluster of the tests does not enforce memory limits.

"""
HEAD = """\
| fault | injected how | times | lost | trained twice | bytes equal | seconds each |
|---|---|--:|--:|--:|--:|--:|
"""


def judge(fault: Fault, times: int, undisturbed: Path, *arguments: str) -> tuple[str, bool]:
    """One line of the table, and whether the fault was harmless each time."""
    verdicts = []
    start = time.monotonic()
    for _ in range(times):
        with (
            tempfile.TemporaryDirectory() as folder,
            Scene(Path(folder), *arguments, undisturbed=undisturbed) as scene,
        ):
            fault(scene)
            verdicts.append(scene.verdict())
    seconds = (time.monotonic() - start) / times
    how = (fault.__doc__ or "").strip().rstrip(".")
    known = [v.lost for v in verdicts if v.lost is not None]
    lost, twice = sum(known) if known else "–", sum(v.trained_twice for v in verdicts)
    equal = sum(v.equal for v in verdicts)
    name = fault.__name__.replace("_", " ")
    line = f"| {name} | {how} | {times} | {lost} | {twice} | {equal} of {times} | {seconds:.0f} |\n"
    return line, all(v.harmless for v in verdicts)


def lines(times: int, names: list[str], undisturbed: Path) -> Iterator[tuple[str, bool]]:
    """The table, line by line, and whether all was harmless."""
    with Scene(undisturbed) as scene:
        scene.finish()
    yield HEAD, True
    for fault in local.FAULTS:
        if fault.__name__ in names:
            yield judge(fault, times, undisturbed)
    wanted = [fault for fault in cluster.FAULTS if fault.__name__ in names]
    if wanted and (os.geteuid() != 0 or not shutil.which("slurmctld")):
        yield "\nFaults of a cluster were left out: they need root, slurm-wlm and munge.\n", True
    elif wanted:
        with running_cluster():
            for fault in wanted:
                yield judge(fault, times, undisturbed, *cluster.PROFILE)


@contextmanager
def running_cluster() -> Iterator[None]:
    """A SLURM on this machine, which SLURM_CONF names."""
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run([SCRIPT, "up", folder], stdout=subprocess.DEVNULL).returncode:
            raise SystemExit(2)  # it has said why
        os.environ["SLURM_CONF"] = f"{folder}/slurm.conf"
        try:
            yield
        finally:
            subprocess.run([SCRIPT, "down", folder], check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Do the faults, print the table as it grows, and keep it where `--out` says; exit code 1 where one did harm."""
    every = [fault.__name__ for fault in (*local.FAULTS, *cluster.FAULTS)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=every, choices=every)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    table, harmless = INTRODUCTION, True
    with tempfile.TemporaryDirectory() as undisturbed:
        for line, well in lines(arguments.times, arguments.only, Path(undisturbed)):
            print(line, end="", flush=True)
            table, harmless = table + line, harmless and well
            if arguments.out:
                arguments.out.write_text(table)
    return int(not harmless)


if __name__ == "__main__":
    sys.exit(main())
