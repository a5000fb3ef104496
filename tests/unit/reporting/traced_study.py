"""A small study planned for real, its trainings invented: plan, attestations, store and predictions fit together."""

import io
import json
from argparse import Namespace
from pathlib import Path

import fake_studies
import numpy as np

from tokenmix.cli import main
from tokenmix.evaluation import rank_command
from tokenmix.files import pretty_json, read_json, sha256_file
from tokenmix.reporting import reported, values
from tokenmix.reporting.inputs import Study
from tokenmix.study import code
from tokenmix.study.load import load_config
from tokenmix.study.plan import SOURCE, PlannedRun, freeze

CONFIG = """
study: full
seeds: [0, 1]
training: {iterations: 40, lr: 1.0e-3}
execution: {needs_gpu: false}
evaluation: {bootstrap: 100}
datasets: {phantom_tissue: {size: 28}, phantom_organs: {size: 28}}
tables:
  small: {scale: xs, metrics: [accuracy, auc], mixers: {pooling: [3], local_attn: [3, 5]}}
"""
OUTPUTS = ("model.safetensors", "history.csv", "predictions.npz")


def make(root: Path, config: str = CONFIG, source: Path = SOURCE) -> Study:
    """Plan the study below `root` (the current folder), invent its trainings, evaluate them, collect its values."""
    (root / "config.yaml").write_text(config)
    code.forget()
    plan = freeze(load_config(root), root, source)
    for number, run in enumerate(plan.runs.values()):
        train(root, run, number)
    study = Study.open(plan.index.relative_to(root) if plan.index.is_absolute() else plan.index)
    for entry in study.datasets.values():
        card = fake_studies.card(entry["name"])
        write(Path(entry["folder"]) / "card.json", {**card, "hash": entry["hash"]})
    collect(study)
    return study


def collect(study: Study) -> None:
    """Everything after training, as the rules do it."""
    for table, entry in study.index["tables"].items():
        out = study.folder / "metrics" / table
        for dataset in entry["datasets"]:
            call = ["evaluate", "--plan", str(study.path), "--table", table, "--dataset", dataset, "--out", str(out)]
            assert main(call) == 0
        rank_command.run(Namespace(plan=study.path, table=table, out=out))
    models = sorted({run["model"] for run in study.index["runs"].values()})
    fake_studies.profile(study.folder / "profile", study.datasets, models)
    fresh = Study.open(study.path)
    reported.write(fresh, fake_studies.PUBLISHED, fresh.paper / "tables")
    values.write(fresh, fresh.paper)


def train(root: Path, run: PlannedRun, number: int) -> None:
    """What a training leaves in the store and publishes."""
    chance = np.random.default_rng(number)
    labels = np.arange(60) % 2
    scores = np.clip(labels * 0.3 + chance.random(60) * 0.7, 0, 1)
    arrays = {"test_scores": np.stack([1 - scores, scores], axis=1).astype(np.float32), "test_labels": labels}
    npz = io.BytesIO()
    np.savez(npz, **arrays)
    contents = dict(zip(OUTPUTS, (b"weights %d" % number, b"epoch\n1\n", npz.getvalue()), strict=True))
    store, published = root / "results/store" / run.id, root / "results/runs" / run.id
    store.mkdir(parents=True)
    published.mkdir(parents=True)
    for name, content in contents.items():
        (store / name).write_bytes(content)
    plan = read_json(root / f"results/plan/{run.id}.json")
    attested = fake_studies.attestation(run.id, plan["spec"])
    attested |= {
        "run": run.id,
        "spec": plan["spec"],
        "hashes": plan["hashes"],
        "outputs": {name: sha256_file(store / name) for name in OUTPUTS},
    }
    write(store / "run.json", attested)
    checksums = {name: sha256_file(store / name) for name in (*OUTPUTS, "run.json")}
    write(store / "finished.json", checksums)
    for name in checksums:
        (published / name).write_bytes((store / name).read_bytes())
    (root / "logs/train").mkdir(parents=True, exist_ok=True)
    (root / f"logs/train/{run.id}.log").write_text("trained\n")
    benchmark = root / f"results/benchmarks/train/{run.id}.jsonl"
    benchmark.parent.mkdir(parents=True, exist_ok=True)
    benchmark.write_text(json.dumps({"run": run.id, "s": 12.5, "max_rss_mb": 300.0}) + "\n")


def write(path: Path, content: object) -> None:
    """A JSON file as the package writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pretty_json(content))
