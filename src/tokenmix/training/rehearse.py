"""What one code makes of a run, in figures that two codes can be compared by; started by `tokenmix adopt`.

    PYTHONSAFEPATH=1 PYTHONPATH=<frozen code> python rehearse.py <request.json>

The file is run as a script by both the old and the new frozen code and imports `tokenmix` from them, so it keeps to
what any version of the training offers:

- `tokenmix.training.__main__.main([plan])` trains the run of a plan file, working in `<results>/store/<run>`,
  writes its state and returns 75 after SIGTERM;
- `Progress.step(iteration)` of `tokenmix.training.progress` is called once after each step;
- `StateSlots(folder).load()` of `tokenmix.training.state` gives the written state;
- `Training(spec, protocol, prepared, device)` of `tokenmix.training.engine` with `model`, `predict(split)` and
  `criterion.probabilities(logits)`, `open_prepared` and `DeviceSplit` of `tokenmix.data.batches`, `read_plan` of
  `tokenmix.training.plan` and `predictions_file` of `tokenmix.training.attest` predict as the end of a run does.

Where a version offers something else, the proof cannot run and nothing is adopted.
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

#: of the state: the clock, which differs between any two trainings
WALL_CLOCK = ("started", "worked", "training.clock")
#: of run.json: who computed, when, with what and what for, which is compared by itself or differs by intent
CIRCUMSTANCES = ("execution", "git", "hashes", "libraries", "spec")


def main(request: dict[str, Any]) -> dict[str, Any]:
    """The three parts of a proof as name -> value, and the libraries and device they were made with."""
    start = _start(Path(request["start"]), request["steps"])
    whole, attested = _whole(Path(request["whole"]))
    end = _end(Path(request["start"]), Path(request["weights"]), request["rung"])
    circumstances = {"libraries": attested["libraries"], "device": attested["execution"]["device"]}
    return {**circumstances, "parts": {"start": start, "whole": whole, "end": end}}


def _start(plan: Path, steps: int) -> dict[str, str]:
    """The first steps of the run as it was planned: everything that the rest of it would depend on."""
    # no module that imports torch before the job does: the job sets the environment that torch reads first
    from tokenmix.training.__main__ import main as train
    from tokenmix.training.progress import Progress

    step = Progress.step

    def stopping(self: Any, iteration: int) -> None:
        step(self, iteration)
        if iteration == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    Progress.step = stopping  # type: ignore[method-assign]
    code = train([str(plan)])
    Progress.step = step  # type: ignore[method-assign]
    if code not in (0, 75):
        raise SystemExit(f"the first {steps} steps ended with exit code {code}")
    from tokenmix.training.state import StateSlots

    store = plan.parents[1] / "store" / plan.stem
    # a run of fewer steps has come to its end and left artefacts
    return _artefacts(store)[0] if code == 0 else _flat(StateSlots(store).load(), WALL_CLOCK)


def _whole(plan: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """A miniature of the run from its first step to its artefacts, and its run.json."""
    from tokenmix.training.__main__ import main as train

    if code := train([str(plan)]):
        raise SystemExit(f"the miniature of the run ended with exit code {code}")
    return _artefacts(plan.parents[1] / "store" / plan.stem)


def _artefacts(store: Path) -> tuple[dict[str, str], dict[str, Any]]:
    attested = json.loads((store / "run.json").read_text())
    values = {"history.csv": (store / "history.csv").read_text()}
    for name in ("model.safetensors", "predictions.npz"):
        values[name] = hashlib.sha256((store / name).read_bytes()).hexdigest()
    return {**values, **_flat(attested, CIRCUMSTANCES, "run.json ")}, attested


def _end(plan_file: Path, weights: Path, rung: int) -> dict[str, str]:
    """The predictions that the weights of the finished run make."""
    import torch
    from safetensors.torch import load_file

    from tokenmix.data.batches import DeviceSplit, open_prepared
    from tokenmix.training.attest import predictions_file
    from tokenmix.training.engine import Training
    from tokenmix.training.plan import read_plan

    plan = read_plan(plan_file)
    prepared = open_prepared(plan.data_folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training = Training(
        plan.spec, plan.protocols[rung], prepared, device, **({"weights": plan.weights} if plan.weights else {})
    )
    training.model.load_state_dict(load_file(weights))
    arrays = {}
    for name in ("val", "test"):
        logits, labels = training.predict(DeviceSplit(prepared, name, device))
        arrays[f"{name}_scores"] = training.criterion.probabilities(logits).cpu().numpy()
        arrays[f"{name}_labels"] = labels.cpu().numpy()
    return {"predictions.npz": hashlib.sha256(predictions_file(arrays)).hexdigest()}


def _flat(value: Any, without: tuple[str, ...], prefix: str = "") -> dict[str, str]:
    """Nested mappings and lists as dotted paths; tensors as a hash of type, shape and bytes."""
    values: dict[str, str] = {}

    def walk(item: Any, path: str) -> None:
        if path in without:
            return
        if isinstance(item, dict):
            for key, inner in item.items():
                walk(inner, f"{path}.{key}" if path else str(key))
        elif isinstance(item, list | tuple) and item:
            for i, inner in enumerate(item):
                walk(inner, f"{path}.{i}")
        elif hasattr(item, "untyped_storage"):
            content = item.detach().cpu().contiguous()
            kind = f"{content.dtype} {tuple(content.shape)} "
            # as bytes, since numpy has no bfloat16
            digest = hashlib.sha256(content.flatten().view(dtype=sys.modules["torch"].uint8).numpy().tobytes())
            values[prefix + path] = kind + digest.hexdigest()
        else:
            # shortest text that reads back as the same number
            values[prefix + path] = repr(item)

    walk(value, "")
    return values


if __name__ == "__main__":
    wanted = json.loads(Path(sys.argv[1]).read_text())
    Path(wanted["answer"]).write_text(json.dumps(main(wanted)))
