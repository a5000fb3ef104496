"""Train some cells of a study again from nothing and hold them against what is published.

A cell is a model with an initialisation on a data set; of each one that is picked, one seed is trained again, in a
folder of its own, on the same prepared data, by the code that the plan froze. On the same device with the same
libraries every byte of weights, history and predictions has to be equal; elsewhere, and on another host's processor,
which may add in another order, all metrics have to agree within a tolerance that is stated.
"""

import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import pretty_json, read_json, sha256_file, write_atomic
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.provenance.audited import record_file
from tokenmix.reporting.provenance.integrity import PREDICTIONS, run_problems
from tokenmix.rows import read_rows
from tokenmix.study.code import code_identity
from tokenmix.study.cost import estimate
from tokenmix.study.plan import SOURCE
from tokenmix.study.stages import training_entries

#: by how much a metric may differ on another device or with other libraries, unless the call says otherwise
TOLERANCE = 0.02
#: what has to be equal to the last byte under the same circumstances
EXACT = ("model.safetensors", "history.csv", "predictions.npz")
#: resamples of the metrics' intervals, which an audit does not look at
_RESAMPLES = 100


@dataclass(frozen=True)
class Audited:
    """One run that was trained again. rule: `bytes` or `tolerance`; differs: files or metrics that are not the same."""

    run: str
    reproduced: bool
    rule: str
    largest_difference: float
    differs: tuple[str, ...]
    seconds: float


def pick(study: Study, number: int, seed: int) -> list[str]:
    """One run each of `number` cells, drawn without replacement in proportion to what they cost to train.

    Raises UserError where the study has fewer finished cells.
    """
    cells: dict[tuple[Any, ...], list[str]] = {}
    for run, entry in study.index["runs"].items():
        if (study.results / "runs" / run / "run.json").is_file():
            cells.setdefault(tuple(entry[part] for part in ("dataset", "size", "model", "init")), []).append(run)
    if not 1 <= number <= len(cells):
        raise UserError(
            f"{number} cells cannot be audited: {len(cells)} cells of the study {study.name} have finished runs; "
            "give a number from 1 to that, or train more"
        )
    chance = random.Random(seed)
    # the cells with the largest log(u) / cost are such a draw (Efraimidis and Spirakis, 2006)
    keys = {}
    for cell, runs in cells.items():
        cost = max(estimate([study.index["runs"][runs[0]]]).cpu_core_hours, 1e-9)
        keys[cell] = math.log(1 - chance.random()) / cost
    ordered = sorted(cells, key=lambda cell: keys[cell], reverse=True)
    return [chance.choice(cells[cell]) for cell in ordered[:number]]


def audit(study: Study, number: int, seed: int, tolerance: float, said: Callable[[str], None]) -> list[Audited]:
    """Train, compare and record, run by run; what an interrupted call finished is not trained again.

    Raises UserError where published files are not those that were attested, and where a training fails.
    """
    picked = pick(study, number, seed)
    problems = [problem for run in picked for problem in run_problems(study, run)]
    if problems:
        raise UserError("published files are broken:\n" + "\n".join(f"  {problem}" for problem in problems))
    found: list[Audited] = []
    for place, run in enumerate(picked, 1):
        said(f"[{place}/{number}] {run}" + (": kept from an earlier audit" if trained_before(study, run) else ""))
        train_again(study, run)
        found.append(compare(study, run, tolerance))
        _record(study, picked, found, seed, tolerance)
    return found


def _record(study: Study, picked: list[str], found: list[Audited], seed: int, tolerance: float) -> None:
    content = {
        "study": study.name,
        "seed": seed,
        "tolerance": tolerance,
        "picked": picked,
        "reproduced": sum(audited.reproduced for audited in found),
        "runs": [asdict(audited) for audited in found],
    }
    write_atomic(record_file(study), pretty_json(content))


def audit_folder(study: Study) -> Path:
    """The results folder of an audit: nothing that the study trained is in it."""
    return study.folder / "audit"


def trained_before(study: Study, run: str) -> bool:
    """Whether an earlier audit trained a run to its end: it is compared again, not trained."""
    return (audit_folder(study) / "runs" / run / "run.json").is_file()


def train_again(study: Study, run: str) -> None:
    """Train a run below the audit's folder, or go on where an earlier call was interrupted."""
    plan = read_json(study.results / "plan" / f"{run}.json")
    folder, code = audit_folder(study), Path(plan["code"]["folder"]).absolute()
    entries = training_entries(plan["spec"]["model"], plan["spec"]["init"])
    if not code.is_dir() or code_identity(entries, code).hash != plan["code"]["hash"]:
        raise UserError(
            f"the frozen code of {run} is not whole in {code}; delete that folder and plan the study again "
            f"(snakemake -n --config study={study.name}) from the commit that computed the run"
        )
    copy, log = folder / "plan" / f"{run}.json", folder / "logs" / f"{run}.log"
    write_atomic(copy, pretty_json(plan))
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": str(code),
        "TOKENMIX_CHECKPOINT_SECONDS": str(study.index["execution"]["checkpoint_seconds"]),
    }
    with log.open("ab") as output:
        command = [sys.executable, "-m", "tokenmix.training", str(copy)]
        training = subprocess.Popen(command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        try:
            status = training.wait()
        except KeyboardInterrupt:
            # Ctrl-C reached the training as well, which writes its state and leaves
            training.send_signal(signal.SIGINT)
            training.wait()
            raise UserError(f"the audit was interrupted in {run}; the same call goes on from there") from None
    if status:
        raise UserError(
            f"training {run} again ended with exit code {status}; see {log}; the same call goes on from there"
        )


def compare(study: Study, run: str, tolerance: float) -> Audited:
    """Hold a run that was trained again against the published one."""
    again = audit_folder(study) / "runs" / run
    published, repeated = study.run(run), read_json(again / "run.json")
    # the attestation has the checksums of all files; of a run out of an archive the weights themselves are not here
    attested = published["outputs"]
    if attested[PREDICTIONS] == sha256_file(again / PREDICTIONS):
        before = after = {}  # equal predictions have equal metrics
    else:
        before, after = _metrics(study, run, study.results), _metrics(study, run, audit_folder(study))
    largest = max((abs(after[metric] - before[metric]) for metric in before), default=0.0)
    seconds = float(repeated["execution"].get("seconds") or 0)
    if _same_circumstances(published, repeated):
        differs = [name for name in EXACT if attested.get(name) != sha256_file(again / name)]
        differs += [name for name in ("status", "mark", "rungs") if published.get(name) != repeated.get(name)]
        return Audited(run, not differs, "bytes", largest, tuple(differs), seconds)
    differs = [metric for metric in before if not abs(after[metric] - before[metric]) <= tolerance]
    differs += ["status"] if published["status"] != repeated["status"] else []
    return Audited(run, not differs, "tolerance", largest, tuple(differs), seconds)


def _same_circumstances(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two attestations promise equal bytes. A GPU has a name of its own; processors of one kind may differ."""
    devices = {str(attested["execution"].get("device")) for attested in (first, second)}
    hosts = {attested["execution"].get("host") for attested in (first, second)}
    on_gpu = not any(device.startswith("CPU") for device in devices)
    # an adopted run may have been attested before a library was added to the list
    named = first["libraries"].keys() & second["libraries"].keys()
    alike = all(first["libraries"][name] == second["libraries"][name] for name in named)
    return len(devices) == 1 and alike and (on_gpu or len(hosts) == 1)


def _metrics(study: Study, run: str, results: Path) -> dict[str, float]:
    """Metric -> value on the test split, computed by the evaluation from the predictions below `results`."""
    entry = study.index["runs"][run]
    dataset, out = f"{entry['dataset']}-{entry['size']}", audit_folder(study) / "metrics" / results.name
    settings = {**study.index["evaluation"], "bootstrap": _RESAMPLES}
    index = {**study.index, "runs": {run: entry}, "evaluation": settings, "results": str(results)}
    path = results / "plan" / f".audit.{run}.json"
    write_atomic(path, pretty_json(index))
    try:
        command = [sys.executable, "-m", "tokenmix", "evaluate", "--plan", str(path), "--dataset", dataset]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        done = subprocess.run([*command, "--out", str(out)], env=environment, capture_output=True, text=True)
    finally:
        path.unlink()
    if done.returncode:
        raise UserError(f"{run} cannot be evaluated: {done.stderr.strip().removeprefix('error: ')}")
    rows = read_rows(out / f"{dataset}.csv")
    return {row["metric"]: float(row["value"]) for row in rows if row["run"] == run}
