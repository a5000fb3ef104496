"""`tokenmix switches` on hand-written runs: differences to the corrected protocol, over the same cases."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tokenmix.cli import main
from tokenmix.evaluation.bootstrap import resampled_weights

CASES, MODEL, HYBRID = 80, "xs-tttt-local_attn3", "xs-pptt-pooling5"
LABELS = np.arange(CASES) % 2
#: variant -> how much its scores say about the label
SIGNAL = {"corrected": 0.5, "schedule lag": 1.5, "as_published": 0.0}


def as_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.fixture
def scores(tmp_path: Path) -> dict[str, list[np.ndarray]]:
    """A results folder with two runs a variant of one model; the scores of class 1 by variant and seed."""
    runs: dict[str, Any] = {}
    behind: dict[str, list[str]] = {}
    written: dict[str, list[np.ndarray]] = {}
    for number, (variant, signal) in enumerate(SIGNAL.items()):
        for seed in (0, 1):
            name = f"toy-28.{MODEL}.scratch.s{seed}.{number:08d}"
            entry = {"dataset": "toy", "size": 28, "model": MODEL, "init": "scratch", "seed": seed}
            runs[name] = {**entry, "tables": ["switches"]}
            logits = np.random.default_rng([number, seed]).normal(size=CASES) + signal * LABELS
            one = (1 / (1 + np.exp(-logits))).astype(np.float32)
            path = tmp_path / "results/runs" / name / "predictions.npz"
            as_json(
                tmp_path / f"results/plan/{name}.json",
                {"run": name, "spec": entry, "data": {"hash": "d"}, "code": {"hash": "c"}},
            )
            path.parent.mkdir(parents=True)
            np.savez(path, test_scores=np.stack([1 - one, one], axis=1), test_labels=LABELS)
            outputs = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
            hashes = {"spec": "s", "data": "d", "code": "c"}
            attested = {
                "run": name,
                "spec": entry,
                "hashes": hashes,
                "status": "finished",
                "mark": "",
                "outputs": outputs,
            }
            as_json(path.with_name("run.json"), attested)
            behind.setdefault(variant, []).append(name)
            written.setdefault(variant, []).append(one)
    behind["head dimension"] = behind["corrected"]
    folder = tmp_path / "data/toy-28.aaaaaaaa"
    as_json(folder / "card.json", {"task": "binary"})
    index = {
        "study": "demo",
        "results": "results",
        "tables": {},
        "datasets": {"toy-28": {"name": "toy", "size": 28, "folder": str(folder)}},
        "runs": runs,
        "switches": [
            {"dataset": "toy-28", "model": MODEL, "init": "scratch", "runs": behind},
            {"dataset": "toy-28", "model": HYBRID, "init": "scratch", "runs": {"corrected": behind["schedule lag"]}},
        ],
        "evaluation": {"bootstrap": 300, "seed": 0, "level": 0.95, "correction": "holm"},
    }
    as_json(tmp_path / "results/plan/demo.12345678.json", index)
    return written


def compare(root: Path, model: str = MODEL) -> dict[str, dict[str, str]]:
    out = root / "switches.csv"
    assert main(["switches", "--plan", str(root / "results/plan/demo.12345678.json"), "--out", str(out)]) == 0
    with out.open(newline="") as file:
        return {row["variant"]: row for row in csv.DictReader(file) if (row["metric"], row["model"]) == ("auc", model)}


def test_a_difference_is_that_of_the_means_over_seeds(tmp_path: Path, scores: dict[str, list[np.ndarray]]) -> None:
    found = compare(tmp_path)
    means = {
        variant: np.mean([roc_auc_score(LABELS, one.astype(float)) for one in seeds])
        for variant, seeds in scores.items()
    }
    assert list(found) == list(SIGNAL)  # a variant that changes nothing has the runs of another, and no row
    for variant, row in found.items():
        assert float(row["mean"]) == pytest.approx(means[variant], abs=1e-12)
    assert found["corrected"]["difference"] == ""
    for variant in ("schedule lag", "as_published"):
        assert float(found[variant]["difference"]) == pytest.approx(means[variant] - means["corrected"], abs=1e-12)


def test_each_comparison_has_a_corrected_protocol_of_its_own(
    tmp_path: Path, scores: dict[str, list[np.ndarray]]
) -> None:
    (first, *_), (second,) = (list(compare(tmp_path, model).values()) for model in (MODEL, HYBRID))
    assert first["variant"] == second["variant"] == "corrected"
    assert second["difference"] == "" and second["runs"] != first["runs"]


def test_its_interval_comes_from_resamples_of_the_same_cases(
    tmp_path: Path, scores: dict[str, list[np.ndarray]]
) -> None:
    weights = np.concatenate(list(resampled_weights(CASES, 300, 0)), axis=1)
    drawn = [
        np.mean(
            [
                roc_auc_score(LABELS, a, sample_weight=w) - roc_auc_score(LABELS, b, sample_weight=w)
                for a, b in zip(scores["schedule lag"], scores["corrected"], strict=True)
            ]
        )
        for w in weights.T
    ]
    row = compare(tmp_path)["schedule lag"]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (float(row["difference_low"]), float(row["difference_high"])) == pytest.approx((low, high), abs=1e-6)


def test_a_study_that_compares_nothing_says_so(
    tmp_path: Path, scores: dict[str, list[np.ndarray]], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results/plan/demo.12345678.json"
    as_json(path, {**json.loads(path.read_text()), "switches": []})
    assert main(["switches", "--plan", str(path), "--out", str(tmp_path / "out.csv")]) == 2
    assert "name `dataset` and `model` under `switches`" in capsys.readouterr().err
