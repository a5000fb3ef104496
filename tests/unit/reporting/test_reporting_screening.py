"""The table whose rows are data sets: facts from cards, scores from cells, a verdict by its stated rule."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from fake_studies import make_study

from tokenmix.reporting import appendix, findings, screening, tables, values
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.ranking import Ranking
from tokenmix.reporting.records import Cell

RESNET = "resnet18-k3"


def cell(model: str = RESNET, mean: float = 0.9, std: float = 0.005, low: float = 0.85) -> Cell:
    return Cell("a-28", model, "scratch", "auc", mean, std, low, 1, 3, 99, (), diverged=False, mark="")


def verdict(*cells: Cell, rarest: int = 100) -> str:
    best = max(cells, key=lambda each: each.mean, default=None)
    return screening.verdict(Ranking(cells, best, frozenset(), ()), rarest)


@pytest.mark.parametrize(
    ("cells", "rarest", "expected"),
    [
        ([cell()], 25, "suited"),
        ([cell()], 24, "few cases"),
        ([cell(low=0.5)], 100, "near chance"),
        ([cell(mean=0.9901)], 100, "saturated"),
        ([cell(mean=0.99)], 100, "suited"),
        ([cell(std=0.021)], 100, "unstable"),
        ([cell(std=0.02)], 100, "suited"),
        ([cell(std=float("nan"))], 100, "suited"),
        ([cell(), cell("b", mean=0.896)], 100, "alike"),
        ([cell(), cell("b", mean=0.89)], 100, "suited"),
        ([cell(mean=0.6, std=0.1, low=0.4)], 5, "near chance, unstable, few cases"),
        ([], 100, "diverged"),
    ],
)
def test_the_verdict_follows_its_rule(cells: list[Cell], rarest: int, expected: str) -> None:
    assert verdict(*cells, rarest=rarest) == expected


def make(root: Path, models: tuple[str, ...] = (RESNET,), names: tuple[str, ...] = ("a", "b"), **options: Any) -> Study:
    table = {
        "caption": "Screening",
        "layout": "datasets",
        "datasets": [f"{name}-28" for name in names],
        "metrics": ["accuracy", "auc"],
        "init": "scratch",
        "models": list(models),
        "rows": [[model, "scratch"] for model in models],
    }
    options = {"diverged": (), **options}
    return Study.open(make_study(root, datasets=names, models=models, tables={"screening": table}, **options))


def test_a_row_holds_the_facts_the_scores_and_the_verdict(tmp_path: Path) -> None:
    study = make(tmp_path)
    card = tmp_path / "data/b-28/card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "counts": {"test": {"x": 620, "y": 4}}}))
    tables.write(study, "screening", tmp_path / "out")
    tex = (tmp_path / "out/screening.tex").read_text()
    row = next(line for line in tex.splitlines() if line.startswith("b & "))
    assert r"binary (\val{data/b-28/classes})" in row
    for key in ("data/b-28/train", "data/b-28/val", "data/b-28/test", "data/b-28/licence", "verdict/screening/b-28"):
        assert f"\\val{{{key}}}" in row
    assert f"\\val{{auc/b-28/{RESNET}/scratch/std}}" in row
    for stated in ("above 0.99", "fewer than 25", "above 0.02", "down to 0.5"):
        assert stated in tex
    registry = values.build(Study.open(study.path))
    assert [registry[f"verdict/screening/{name}-28"].text for name in "ab"] == ["suited", "few cases"]
    assert registry["verdict/screening/a-28"].runs
    with (tmp_path / "out/screening.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["dataset"], row["rarest"], row["verdict"]) for row in rows] == [
        ("a-28", "234", "suited"),
        ("b-28", "4", "few cases"),
    ]
    assert float(rows[0]["auc"]) == study.cells["a-28", RESNET, "scratch", "auc"].mean


def test_every_score_of_many_models_and_sets_stands_once(tmp_path: Path) -> None:
    models = (RESNET, "xs-tttt-conv3", "xs-tttt-conv5", "xs-tttt-conv7", "xs-tttt-pooling3", "xs-tttt-identity")
    names = tuple(f"set{number}" for number in range(25))
    tex = screening.screening_tex(study := make(tmp_path, models, names), study.tables["screening"])
    for name in names:
        for model in models:
            assert tex.count(f"\\val{{auc/{name}-28/{model}/scratch}}") == 1
        assert tex.count(f"\\val{{data/{name}-28/train}}") == 1
    assert tex.count("\\label{tab:screening}") == 1


def test_a_set_on_which_nothing_finished_says_so(tmp_path: Path) -> None:
    study = make(tmp_path, diverged=[("a", RESNET)])
    assert values.build(study)["verdict/screening/a-28"].text == "diverged"
    assert "\\textdagger" in screening.screening_tex(study, study.tables["screening"])


def test_one_sentence_counts_the_verdicts(tmp_path: Path) -> None:
    names = ("a", "b", "c", "d")
    study = make(tmp_path, names=names, diverged=[("d", RESNET)])
    for name in "bc":
        card = tmp_path / f"data/{name}-28/card.json"
        card.write_text(json.dumps({**json.loads(card.read_text()), "counts": {"test": {"x": 620, "y": 4}}}))
    registry = values.build(study)
    text = findings.findings_tex(registry, study)
    assert text.count(r"\paragraph") == 1
    said = (
        r"suited on \val{verdicts/screening/suited}, few cases on \val{verdicts/screening/few=20cases} and diverged on"
    )
    assert said in text
    counts = {
        word: registry[f"verdicts/screening/{word}"].value for word in ("all", "suited", "few=20cases", "diverged")
    }
    assert counts == {"all": 4, "suited": 1, "few=20cases": 2, "diverged": 1}
    lines = appendix.runs_tex(study, registry)
    assert rf"\tmxanchor{{{registry['verdicts/screening/all'].line}}}" in lines
    assert "highest mean" not in findings.summary_tex(registry, study)
