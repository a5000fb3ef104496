"""`tokenmix evaluate` on hand-written runs: its files, and what it refuses."""

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tokenmix.cli import main

MODELS = {"xs-tttt-pooling3": 0.5, "xs-tttt-conv3": 2.0}
CASES = 90


class Study:
    """A small results folder: two models with two seeds on one data set of three classes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index = root / "results/plan/demo.12345678.json"
        self.runs: dict[str, Any] = {}
        self.labels = np.arange(CASES) % 3
        self.scores: dict[str, np.ndarray] = {}
        self.correction = "holm"
        for model, signal in MODELS.items():
            for seed in (0, 1):
                self.add(model, seed, signal)
        self.write_index()

    def write_index(self) -> None:
        folder = self.root / "data/toy-28.aaaaaaaa"
        self._json(folder / "card.json", {"task": "multi-class"})
        dataset = {"name": "toy", "size": 28, "folder": str(folder), "hash": "aaaaaaaa", "kind": "phantom"}
        evaluation = {"bootstrap": 200, "seed": 0, "level": 0.95, "correction": self.correction}
        content = {"datasets": {"toy-28": dataset}, "tables": {}, "runs": self.runs, "evaluation": evaluation}
        self._json(self.index, {"study": "demo", "results": "results", **content})

    def add(self, model: str, seed: int, signal: float, status: str = "finished", mark: str = "") -> str:
        name = f"toy-28.{model}.scratch.s{seed}.0000000{seed}"
        spec = {"dataset": "toy", "size": 28, "model": model, "init": "scratch", "seed": seed}
        self.runs[name] = {
            **{k: spec[k] for k in ("dataset", "size", "model", "init", "seed")},
            "tables": ["t"],
        }
        generator = np.random.default_rng([seed, len(model)])
        logits = generator.normal(size=(CASES, 3)) + signal * (self.labels[:, None] == np.arange(3))
        scores = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
        hashes = {"spec": "s", "data": "d", "code": "c"}
        plan = {"run": name, "spec": spec, "data": {"hash": "d"}, "code": {"hash": "c"}}
        self._json(self.root / f"results/plan/{name}.json", plan)
        attestation = {
            "run": name,
            "spec": spec,
            "hashes": hashes,
            "status": status,
            "mark": mark,
            "outputs": {},
        }
        self._json(self.folder(name) / "run.json", attestation)
        self.predict(name, scores, self.labels)
        return name

    def folder(self, name: str) -> Path:
        return self.root / "results/runs" / name

    def predict(self, name: str, scores: np.ndarray, labels: np.ndarray) -> None:
        path = self.folder(name) / "predictions.npz"
        np.savez(path, test_scores=scores, test_labels=labels, val_scores=scores[:1], val_labels=labels[:1])
        self.scores[name] = scores
        self.attest(name, lambda a: a["outputs"].update({path.name: hashlib.sha256(path.read_bytes()).hexdigest()}))

    def attest(self, name: str, change: Callable[[Any], Any]) -> None:
        path = self.folder(name) / "run.json"
        attestation = json.loads(path.read_text())
        change(attestation)
        self._json(path, attestation)

    @staticmethod
    def _json(path: Path, value: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def evaluate(study: Study, out: str = "metrics") -> int:
    folder = str(study.root / out)
    return main(["evaluate", "--plan", str(study.index), "--dataset", "toy-28", "--out", folder])


def table(study: Study, name: str, out: str = "metrics") -> list[dict[str, str]]:
    with (study.root / out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_runs_cells_and_pairs(study: Study) -> None:
    assert evaluate(study) == 0
    runs, cells, pairs = (table(study, f"toy-28{ending}.csv") for ending in ("", ".cells", ".pairs"))
    assert len(runs) == 4 * 4
    assert len(cells) == 2 * 4
    assert len(pairs) == 1 * 4
    aucs = {row["run"]: float(row["value"]) for row in runs if row["metric"] == "auc"}
    for name, value in aucs.items():
        scores = study.scores[name].astype(float)
        expected = np.mean([roc_auc_score(study.labels == k, scores[:, k]) for k in range(3)])
        assert value == pytest.approx(expected, abs=1e-12)
    for row in runs:
        assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
        assert (row["dataset"], row["n"], row["init"]) == ("toy-28", "90", "scratch")
    cell = next(row for row in cells if (row["model"], row["metric"]) == ("xs-tttt-conv3", "auc"))
    members = [value for name, value in aucs.items() if "conv3" in name]
    assert float(cell["mean"]) == pytest.approx(np.mean(members))
    assert float(cell["std"]) == pytest.approx(np.std(members, ddof=1))
    assert float(cell["low"]) < float(cell["mean"]) < float(cell["high"])
    assert (cell["seeds"], cell["cases"], cell["status"]) == ("2", "90", "finished")
    assert cell["runs"].split(";") == sorted(name for name in aucs if "conv3" in name)
    pair = next(row for row in pairs if row["metric"] == "auc")
    assert (pair["model_a"], pair["model_b"]) == ("xs-tttt-conv3", "xs-tttt-pooling3")
    others = [value for name, value in aucs.items() if "pooling3" in name]
    assert float(pair["difference"]) == pytest.approx(np.mean(members) - np.mean(others))
    assert float(pair["low"]) > 0  # a signal four times as strong is told apart on 90 cases


def test_equal_predictions_differ_by_exactly_nothing(study: Study) -> None:
    for seed in (0, 1):
        conv, pooling = (f"toy-28.xs-tttt-{mixer}3.scratch.s{seed}.0000000{seed}" for mixer in ("conv", "pooling"))
        study.predict(pooling, study.scores[conv], study.labels)
    assert evaluate(study) == 0
    for row in table(study, "toy-28.pairs.csv"):
        assert [float(row[column]) for column in ("difference", "low", "high")] == [0, 0, 0]
        assert (float(row["p"]), row["significant"]) == (1, "0")


def test_the_correction_decides_what_is_significant(study: Study) -> None:
    for number, signal in enumerate((0.55, 0.6, 1.05, 1.1, 1.15, 1.2)):
        for seed in (0, 1):
            study.add(f"xs-tttt-mixer{number}", seed, signal)
    significant: dict[str, set[tuple[str, ...]]] = {}
    for study.correction in ("holm", "none"):
        study.write_index()
        assert evaluate(study) == 0
        pairs = table(study, "toy-28.pairs.csv")
        assert len(pairs) == 4 * 8 * 7 / 2
        chosen = [row for row in pairs if row["significant"] == "1"]
        significant[study.correction] = {(row["metric"], row["model_a"], row["model_b"]) for row in chosen}
        for row in pairs:
            assert float(row["p"]) <= float(row["p_holm"]) <= 1
            if study.correction == "holm":
                assert (row["significant"] == "1") == (float(row["p_holm"]) < 0.05)
            else:
                assert (row["significant"] == "1") == (float(row["low"]) > 0 or float(row["high"]) < 0)
    # the correction takes pairs away and adds none; here it takes some and leaves some
    assert set() < significant["holm"] < significant["none"]
    # families are metrics: each has a pair whose p-value counts for all of them
    for metric in ("accuracy", "auc"):
        family = [row for row in pairs if row["metric"] == metric]
        smallest = min(family, key=lambda row: float(row["p"]))
        assert float(smallest["p_holm"]) == pytest.approx(min(1, len(family) * float(smallest["p"])))


def test_bytes_are_the_same_every_time(study: Study) -> None:
    evaluate(study, "first")
    study.runs = dict(reversed(study.runs.items()))
    study.write_index()
    evaluate(study, "second")
    names = sorted(path.name for path in (study.root / "first").iterdir())
    assert names == ["toy-28.cells.csv", "toy-28.confusion.csv", "toy-28.csv", "toy-28.pairs.csv", "toy-28.sha256"]
    for name in names:
        assert (study.root / "first" / name).read_bytes() == (study.root / "second" / name).read_bytes()


def test_the_checksums_are_those_of_the_attestations(study: Study) -> None:
    assert evaluate(study) == 0
    check = ["sha256sum", "--check", str(study.root / "metrics/toy-28.sha256")]
    done = subprocess.run(check, cwd=study.root / "results", capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("run.json: OK") == len(study.runs)
    study.attest(next(iter(study.runs)), lambda attestation: attestation.update(host="another"))
    assert subprocess.run(check, cwd=study.root / "results", capture_output=True).returncode == 1


def test_one_seed_has_no_spread_and_a_diverged_run_marks_its_cell(study: Study) -> None:
    study.add("xs-tttt-random", 0, 1.0, status="diverged", mark="dagger")
    study.write_index()
    assert evaluate(study) == 0
    cell = next(row for row in table(study, "toy-28.cells.csv") if row["model"] == "xs-tttt-random")
    assert (cell["std"], cell["seeds"], cell["status"], cell["mark"]) == ("nan", "1", "diverged", "dagger")


@pytest.mark.parametrize("correction", ["holm", "none"])
def test_diverged_models_leave_the_comparison_of_the_others_as_it_is(study: Study, correction: str) -> None:
    study.correction = correction
    study.write_index()
    assert evaluate(study, "before") == 0
    for model in ("xs-tttt-random", "xs-tttt-identity"):
        study.add(model, 0, 0.0, status="diverged")
    study.write_index()
    assert evaluate(study, "after") == 0
    before, after = (table(study, "toy-28.pairs.csv", out) for out in ("before", "after"))
    assert [row for row in after if {row["model_a"], row["model_b"]} == set(MODELS)] == before
    others = [row for row in after if row not in before]
    assert len(others) == 5 * len(before)
    assert {(row["p"], row["p_holm"], row["significant"]) for row in others} == {("nan", "nan", "0")}


def test_one_table_is_evaluated_from_its_own_runs(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    for name, cell in study.runs.items():
        cell["tables"] = ["both", "small"] if "conv3" in name else ["both", "missing"]
        if "pooling3" in name:
            (study.folder(name) / "run.json").unlink()  # not trained: it is not in the table
    study.write_index()
    arguments = [
        "evaluate",
        "--plan",
        str(study.index),
        "--dataset",
        "toy-28",
        "--out",
        str(study.root / "metrics"),
    ]
    assert main([*arguments, "--table", "small"]) == 0
    assert {row["model"] for row in table(study, "toy-28.csv")} == {"xs-tttt-conv3"}
    assert table(study, "toy-28.pairs.csv") == []
    assert main([*arguments, "--table", "other"]) == 2
    assert "table 'other' has no run of toy-28" in capsys.readouterr().err


def test_a_field_that_one_spec_lacks_is_no_difference(study: Study) -> None:
    study.attest(NAME, lambda attestation: attestation["spec"].update(newer=False))
    assert evaluate(study) == 0


NAME = "toy-28.xs-tttt-conv3.scratch.s1.00000001"


def _other_cases(study: Study) -> None:
    study.predict(NAME, study.scores[NAME][:-1], study.labels[:-1])


def _other_labels(study: Study) -> None:
    study.predict(NAME, study.scores[NAME], study.labels[::-1].copy())


def _not_finite(study: Study) -> None:
    scores = study.scores[NAME].copy()
    scores[4, 1] = np.nan
    study.predict(NAME, scores, study.labels)


def _changed_bytes(study: Study) -> None:
    path = study.folder(NAME) / "predictions.npz"
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)


def _truncated_before_attested(study: Study) -> None:
    path = study.folder(NAME) / "predictions.npz"
    path.write_bytes(path.read_bytes()[:200])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    study.attest(NAME, lambda attestation: attestation["outputs"].update({path.name: digest}))


def _one_array(study: Study) -> None:
    path = study.folder(NAME) / "predictions.npz"
    with path.open("wb") as file:
        np.save(file, study.scores[NAME])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    study.attest(NAME, lambda attestation: attestation["outputs"].update({path.name: digest}))


def _texts(study: Study) -> None:
    study.predict(NAME, study.scores[NAME].astype(str), study.labels)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_one_array, "cannot be read"),
        (_texts, "scores are of type <U32"),
        (lambda s: s.attest(NAME, lambda a: a.pop("hashes")), "is not complete"),
        (lambda s: s.attest(NAME, lambda a: a.update(spec=3)), "is not complete"),
        (lambda s: s.attest(NAME, lambda a: a.update(outputs=[])), "outputs differ"),
        (_other_cases, "did not predict the same test cases"),
        (_other_labels, "did not predict the same test cases"),
        (_not_finite, "1 of 90 cases have scores that are not finite"),
        (_changed_bytes, "not the file that run.json attests"),
        (_truncated_before_attested, "cannot be read"),
        (lambda s: s.attest(NAME, lambda a: a["hashes"].update(code="x")), "code differ"),
        (lambda s: s.attest(NAME, lambda a: a["hashes"].update(data="x")), "data differ"),
        (lambda s: s.attest(NAME, lambda a: a["spec"].update(seed=9)), "spec.seed differ"),
        (lambda s: (s.folder(NAME) / "run.json").unlink(), "is missing"),
        (lambda s: (s.folder(NAME) / "predictions.npz").unlink(), "cannot be read"),
    ],
)
def test_what_is_not_the_plans_outcome_is_refused(
    study: Study, damage: Callable[[Study], None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(study)
    assert evaluate(study) == 2
    error = capsys.readouterr().err
    assert message in error
    assert NAME in error
    assert not (study.root / "metrics").exists()


def test_unknown_data_set_names_the_known_ones(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--plan", str(study.index), "--dataset", "toi-28", "--out", str(study.root)]
    assert main(arguments) == 2
    assert "choose one of: toy-28" in capsys.readouterr().err


def test_two_runs_of_one_cell_and_seed_are_refused(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    study.runs[f"{NAME}x"] = study.runs[NAME]
    study.write_index()
    (study.folder(NAME)).rename(study.folder(f"{NAME}x"))
    study.add("xs-tttt-conv3", 1, 2.0)
    study.attest(f"{NAME}x", lambda attestation: attestation.update(run=f"{NAME}x"))
    plan = json.loads((study.index.parent / f"{NAME}.json").read_text())
    (study.index.parent / f"{NAME}x.json").write_text(json.dumps({**plan, "run": f"{NAME}x"}))
    assert evaluate(study) == 2
    assert "two runs stand for one cell and seed" in capsys.readouterr().err


def test_evaluating_loads_nothing_slow(study: Study) -> None:
    arguments = ["evaluate", "--plan", str(study.index), "--dataset", "toy-28", "--out", str(study.root)]
    code = (
        f"import sys; from tokenmix.cli import main; main({arguments!r}); "
        "print(sorted({'torch', 'pandas', 'scipy', 'sklearn', 'matplotlib', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
