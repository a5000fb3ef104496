"""A study that looks finished, in a copy of this checkout: real plan and code, invented artefacts, no training."""

import hashlib
import json
from pathlib import Path

from checkout import Checkout

from tokenmix.files import pretty_json, write_atomic
from tokenmix.reporting.inputs import Study
from tokenmix.study.load import load_config
from tokenmix.study.plan import Plan, freeze

TIMES = {"started": "2026-01-02T03:04:05+00:00", "ended": "2026-01-02T03:05:06+00:00", "device": "CPU x86_64"}
#: what people put into titles
SPECIAL = "100 % of {tissue} & $cells$ #1_a \\ ~^ <é>"


def finished_study(folder: Path) -> tuple[Study, Plan]:
    """The study `tiny` below `folder`, planned by its own sources."""
    Checkout(folder)
    plan = freeze(load_config(folder, "tiny"), folder)
    study = Study(plan.index, {**json.loads(plan.text), "results": str(plan.results)})
    for data in study.datasets.values():
        data["about"] = {"title": SPECIAL, "licence": "CC BY 4.0", "doi": "10.1/2"}
        facts = {"title": "of old", "task": "binary", "size": 28, "n": {"test": 2}, "licence": "", "doi": None}
        write_atomic(
            folder / data["folder"] / "card.json", pretty_json({**facts, "source": {"url": "https://x.org/a"}})
        )
        data["folder"] = str(folder / data["folder"])
    for run in plan.runs:
        _run(study, run)
    metrics = (f"metrics/classification_4t/a.{kind}" for kind in ("csv", "sha256"))
    for file in (*metrics, "profile/models.csv", "paper/tables/a.csv"):
        write_atomic(study.folder / file, "a,b\n1,2\n")
    for file in ("paper/values.json", "paper/claims.json", "paper.pdf"):
        write_atomic(study.folder / file, "{}")
    return study, plan


def _run(study: Study, run: str) -> None:
    folder = study.results / "runs" / run
    outputs = {}
    for name in ("predictions.npz", "history.csv", "model.safetensors"):
        write_atomic(folder / name, f"{name} of {run}")
        outputs[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    frozen = json.loads((study.results / "plan" / f"{run}.json").read_text())
    record = {
        "run": run, "spec": frozen["spec"], "hashes": frozen["hashes"], "outputs": outputs, "execution": TIMES,
        "git": {"commit": "c0ffee" * 6, "dirty": False}, "libraries": {"torch": "2.15.0"}, "status": "finished",
    }  # fmt: skip
    write_atomic(folder / "run.json", pretty_json(record))
