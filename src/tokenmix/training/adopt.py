"""Keep a finished run under the name that it has after an edit of code which provably changed nothing."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tokenmix.files import pretty_json
from tokenmix.study.plan import Plan
from tokenmix.study.tolerant import read_object
from tokenmix.training.lease import hold
from tokenmix.training.proof import Candidate, Proof
from tokenmix.training.signals import StopRequest
from tokenmix.training.store import OUTPUTS, Store


def candidates(plan: Plan) -> Iterator[Candidate]:
    """What could be adopted, in the order of the plan; of several finished runs the one that ended last."""
    folder = plan.results / "runs"
    present: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():  # noqa: PTH208 - names are wanted
        present.setdefault(name.rpartition(".")[0], []).append(name)
    for run in plan.runs.values():
        names = present.get(run.run.cell, [])
        if run.id in names and read_object(folder / run.id / "run.json"):
            continue
        fitting = []
        for name in names:
            attested = read_object(folder / name / "run.json")
            hashes = attested.get("hashes", {})
            if (hashes.get("spec"), hashes.get("data")) == (run.spec.hash, run.data.hash):
                fitting.append((str(attested.get("execution", {}).get("ended", "")), name, attested))
        if fitting:
            _, name, attested = max(fitting, key=lambda found: found[:2])
            yield Candidate(run, name, attested)


class _Undisturbed(StopRequest):
    """Leaves the signals as they are: Ctrl-C ends the command at once."""

    def __init__(self) -> None:
        self.signal = None


def adopt(plan: Plan, candidate: Candidate, proof: Proof) -> None:
    """Give the planned run the finished run's artefacts and an attestation that says so, and publish it."""
    run, attested = candidate.run, candidate.attested
    store = Store(plan.results, run.id)
    with hold(store.folder, _Undisturbed()) as lease:
        if not store.is_finished():
            entry = {
                "from": candidate.earlier,
                "code": {"old": attested["hashes"]["code"], "new": run.code.hash},
                "steps": proof.steps,
                "digest": proof.digest,
                "libraries": dict(proof.libraries),
                "device": proof.device,
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            hashes = {"spec": run.spec.hash, "data": run.data.hash, "code": run.code.hash}
            # git, libraries and execution stay those of the training; a run may be adopted time and again
            adopted = [*attested.get("adopted", []), entry]
            content = {**attested, "run": run.id, "spec": run.spec.canonical(), "hashes": hashes, "adopted": adopted}
            for name in OUTPUTS[:-1]:
                _link(plan.results / "runs" / candidate.earlier / name, store.folder / name)
            run_json = store.keep("run.json", pretty_json(content).encode())
            store.finish({**attested["outputs"], "run.json": run_json})
            for leftover in store.folder.glob("state.*"):
                leftover.unlink()  # of a training that had begun
        lease.confirm()
        store.publish()


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
