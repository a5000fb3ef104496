"""The default ladder of remedies against real divergence: local attention, bf16, rates far too large."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import RUN, TRAINING, make_plan

from tokenmix.study.protocol import Training
from tokenmix.study.spec import resolve_rungs
from tokenmix.training import engine
from tokenmix.training.__main__ import main


@pytest.fixture(autouse=True)
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job runs in the project's root; what it sets in the environment and for signals is undone."""
    monkeypatch.chdir(tmp_path)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, "1" if "NUM" in name else "")
    monkeypatch.setattr("tokenmix.training.signals.signal.signal", lambda *_: None)


def trained(root: Path, **settings: Any) -> dict[str, Any]:
    """Train on the squares under the default policy; returns run.json, having checked that all in it is finite."""
    training = Training(**{**TRAINING, "precision": "bf16", "validations": 2, **settings})
    values = training.model_dump(exclude={"divergence"})
    plan = make_plan(root, model="xs-tttt-local_attn3", rungs=resolve_rungs(training), **values)
    assert main([str(plan)]) == 0
    folder = root / "results" / "runs" / RUN
    assert all(torch.isfinite(tensor).all() for tensor in load_file(folder / "model.safetensors").values())
    assert np.isfinite(np.load(folder / "predictions.npz")["test_scores"]).all()
    return json.loads((folder / "run.json").read_text())


def climbed(run: dict[str, Any]) -> list[tuple[str, str]]:
    return [(rung["mark"], rung["status"]) for rung in run["rungs"]]


def test_a_tenth_of_the_rate_ends_in_a_finite_result(tmp_path: Path) -> None:
    run = trained(tmp_path, lr=10.0, weight_decay=1.0, iterations=8)
    assert climbed(run) == [("", "diverged"), ("*", "finished")]
    assert (run["status"], run["mark"], run["best"]["rung"]) == ("finished", "*", 1)
    assert "is not finite in iteration" in run["rungs"][0]["reason"]
    assert run["rungs"][1]["iterations"] == 16  # twice as long
    history = list(csv.DictReader((tmp_path / "results/runs" / RUN / "history.csv").open()))
    assert max(float(row["lr"]) for row in history) <= 1.0


def test_a_hopeless_rate_ends_in_the_last_good_value_of_all_rungs(tmp_path: Path, monkeypatch) -> None:
    # the first epoch, at the start of the warm-up, is validated; then every rung diverges
    scores = iter([0.3, 0.6, 0.5, 0.4])

    def validation_metrics(scores_NK: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        score = torch.tensor(next(scores) if scores_NK.isfinite().all() else 0.0, dtype=torch.float64)
        return dict.fromkeys(("accuracy", "balanced_accuracy", "f1_macro"), score)

    monkeypatch.setattr(engine, "validation_metrics", validation_metrics)
    run = trained(tmp_path, lr=10.0, weight_decay=10.0, iterations=8, validations=100)
    assert climbed(run) == [("", "diverged"), ("*", "diverged"), ("#", "diverged"), ("+", "diverged")]
    assert (run["status"], run["mark"]) == ("diverged", "*")
    assert run["best"] == {"rung": 1, "epoch": 1, "iteration": 4, "score": 0.6}
    history = list(csv.DictReader((tmp_path / "results/runs" / RUN / "history.csv").open()))
    assert [(row["lr"], row["val_f1_macro"], row["selected"]) for row in history] == [("1e-05", "0.6", "1")]


def test_divergence_before_the_first_validation_is_said(tmp_path: Path) -> None:
    run = trained(tmp_path, lr=10.0, weight_decay=10.0, warmup_epochs=0, iterations=8)
    assert run["status"] == "diverged" and len(run["rungs"]) == 4
    assert all(rung["reason"].endswith(", before the first validation") for rung in run["rungs"])
    assert run["best"] == {"rung": 3, "epoch": 0, "iteration": 0, "score": None}
