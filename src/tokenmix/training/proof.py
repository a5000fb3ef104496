"""The proof that an edit of code changes nothing in a run: the old and the new code make equal bytes.

It has three parts, made by both frozen codes, each in a process of its own: the state after the first N steps of the
run as it was planned (weights, moments of the optimiser, sum of the losses, random states); a miniature of N
steps on some of its images from the first step to the published files (validations, choice of the checkpoint,
predictions); and the predictions of the finished run's weights on all of validation and test, which must be
the published ones. What an edit changes only later in a run (after N steps and not in the miniature either), or on
other devices, this does not see.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokenmix.errors import UserError
from tokenmix.files import canonical_json, read_json, sha256_file
from tokenmix.study.code import code_identity
from tokenmix.study.frozen import code_folder
from tokenmix.study.grid import Run
from tokenmix.study.plan import Plan, PlannedRun
from tokenmix.study.stages import training_entries

SCRIPT = Path(__file__).with_name("rehearse.py")
STEPS = 20
#: passes over its images that the miniature makes, so that it validates and chooses between checkpoints
EPOCHS = 5
#: cases of validation and of test in the miniature
CASES = 200
PARTS = {
    "start": "after the first steps",
    "whole": "in a miniature of the run",
    "end": "in the predictions of the finished run's weights",
}


@dataclass(frozen=True)
class Candidate:
    """A run that is planned but not there, and a finished run of the same spec and data under other code."""

    run: PlannedRun
    earlier: str
    attested: Mapping[str, Any]


@dataclass(frozen=True)
class Proof:
    """That two codes make the same of a run. digest: over all values that were compared."""

    steps: int
    digest: str
    libraries: Mapping[str, str]
    device: str


def prove(plan: Plan, candidate: Candidate, steps: int = STEPS) -> Proof:
    """Run both codes; raises UserError with what differs first, or why the proof cannot be made."""
    run, attested = candidate.run, candidate.attested
    name = f"{run.id} is not adopted from {candidate.earlier}"
    finished = plan.results / "runs" / candidate.earlier
    for output, checksum in attested["outputs"].items():
        if not (finished / output).is_file() or sha256_file(finished / output) != checksum:
            raise UserError(f"{name}: {finished / output} is not the file that its run.json attests; train it again")
    with tempfile.TemporaryDirectory(prefix="tokenmix-adopt-") as folder:
        scratch = Path(folder)
        contents = {
            "old": read_json(plan.results / "plan" / f"{candidate.earlier}.json"),
            "new": read_json(plan.results / "plan" / f"{run.id}.json"),
        }
        data = Path(contents["new"]["data"]["folder"]).absolute()
        if weights := contents["new"].get("weights"):
            published = {"file": str(Path(weights["file"]).absolute())}
            contents = {which: {**content, "weights": published} for which, content in contents.items()}
        few = _few_cases(data, contents["new"]["spec"]["training"], steps, scratch / "data")
        found = {}
        for which, code_hash in (("old", attested["hashes"]["code"]), ("new", run.code.hash)):
            code = _checked_code(plan, code_hash, run.run, name)
            request = {
                "start": _write_plan(scratch / which / "start", contents[which], data, code),
                "whole": _write_plan(scratch / which / "whole", _miniature(contents[which], steps), few, code),
                "weights": str((finished / "model.safetensors").absolute()),
                # runs of earlier versions ended with the result of their last rung
                "rung": attested["best"].get("rung", attested["rungs"][-1]["rung"]),
                "steps": steps,
                "answer": str(scratch / which / "answer.json"),
            }
            found[which] = _run_script(code, request, scratch / which, f"{name}: the proof cannot run with {code}")
            if which == "old":
                _check_circumstances(found["old"], attested, name)
    if difference := _first_difference(found["old"]["parts"], found["new"]["parts"], steps):
        raise UserError(f"{name}: the edit changes results: {difference}; train the run again")
    digest = hashlib.sha256(canonical_json(found["new"]["parts"]).encode()).hexdigest()
    return Proof(steps, digest, found["new"]["libraries"], found["new"]["device"])


def _checked_code(plan: Plan, code_hash: str, run: Run, name: str) -> Path:
    folder = code_folder(plan.results, code_hash).absolute()
    if not folder.is_dir():
        raise UserError(f"{name}: its code {folder} is gone, so that nothing can be proven; train the run again")
    if code_identity(training_entries(run.model, run.init), folder).hash != code_hash:
        raise UserError(f"{name}: the frozen code in {folder} was edited, so that nothing can be proven")
    return folder


def _write_plan(root: Path, content: Mapping[str, Any], data: Path, code: Path) -> str:
    """A plan file below a results folder of its own; both codes get the same names to train under."""
    rungs = [{**rung, "mark": str(number or "")} for number, rung in enumerate(content["rungs"])]
    places = {"data": {**content["data"], "folder": str(data)}, "code": {**content["code"], "folder": str(code)}}
    path = root / "results" / "plan" / "proof.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**content, **places, "run": "proof", "rungs": rungs}))
    return str(path)


def _miniature(content: Mapping[str, Any], steps: int) -> dict[str, Any]:
    training = content["spec"]["training"]
    # one epoch of warm-up leaves some for the rest of the schedule
    short = {**training, "iterations": steps, "warmup_epochs": min(1, training["warmup_epochs"])}
    rungs = [{**rung, "iterations": steps} if "iterations" in rung else rung for rung in content["rungs"]]
    return {**content, "spec": {**content["spec"], "training": short}, "rungs": rungs}


def _few_cases(data: Path, training: Mapping[str, Any], steps: int, into: Path) -> Path:
    """A prepared folder with as many of the images as `EPOCHS` epochs of some steps need."""
    into.mkdir()
    card = read_json(data / "card.json")
    wanted = max(1, steps // EPOCHS) * training["batch_size"] * training["accumulation"]
    for split, most in (("train", wanted), ("val", CASES), ("test", CASES)):
        number = min(card["n"][split], most)
        # from all over the split: cases may lie in the order of their classes
        index = np.linspace(0, card["n"][split] - 1, number).astype(np.int64)
        for kind in ("images", "labels"):
            array = np.load(data / f"{split}_{kind}.npy", mmap_mode="r", allow_pickle=False)
            np.save(into / f"{split}_{kind}.npy", array[index])
        card["n"][split] = number
    (into / "card.json").write_text(json.dumps(card))
    return into


def _run_script(code: Path, request: Mapping[str, Any], folder: Path, failure: str) -> dict[str, Any]:
    path = folder / "request.json"
    path.write_text(json.dumps(request))
    # state is written once, at the end of the first steps
    surroundings = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(code), "TOKENMIX_CHECKPOINT_SECONDS": "86400"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(path)],
        cwd=folder,
        env={**os.environ, **surroundings},
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()][-2:]
        raise UserError(f"{failure} ({' / '.join(said)}); train the run again")
    return read_json(request["answer"])


def _check_circumstances(old: Mapping[str, Any], attested: Mapping[str, Any], name: str) -> None:
    """A proof counts only where the finished run could be made again."""
    then, now = attested["libraries"], old["libraries"]
    pairs = {key: (then.get(key), now.get(key)) for key in sorted({*then, *now})}
    changed = [f"{key} {before} -> {after}" for key, (before, after) in pairs.items() if before != after]
    if changed:
        raise UserError(f"{name}: it was trained with other libraries ({', '.join(changed)}); adopt it with those")
    if old["device"] not in attested["execution"]["device"].split(" + "):
        raise UserError(
            f"{name}: it was trained on {attested['execution']['device']} and this is {old['device']}, where equal "
            "bytes prove nothing; adopt it there"
        )
    if old["parts"]["end"]["predictions.npz"] != attested["outputs"]["predictions.npz"]:
        raise UserError(
            f"{name}: the code that made it does not make its predictions here again, so that this machine computes "
            "in another way; adopt it where it was trained"
        )


def _first_difference(old: Mapping[str, Any], new: Mapping[str, Any], steps: int) -> str:
    for part, words in PARTS.items():
        names = dict.fromkeys([*old[part], *new[part]])
        # the loss says most about where an edit acts
        for name in sorted(names, key=lambda name: not name.startswith("training.losses")):
            before, after = old[part].get(name), new[part].get(name)
            if before != after:
                missing = "only the new code has it" if before is None else "the new code has it no more"
                what = f"{name} ({missing})" if None in (before, after) else name
                return f"{what} is another {words}{f' ({steps} steps)' if part != 'end' else ''}"
    return ""
