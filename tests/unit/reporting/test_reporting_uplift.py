"""Uplift by pretraining: like for like, with an interval over seeds."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_studies import make_study, open_study

from tokenmix.reporting import values
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.records import Cell, CellKey
from tokenmix.reporting.uplift import uplifts
from tokenmix.reporting.uplift_figure import uplift

LOCAL, CONV = "s12-pptt-local_attn5", "s12-pptt-conv3"


def cell(model: str, init: str, mean: float, std: float = 0.01, seeds: int = 3, dataset: str = "a-28") -> Cell:
    runs = tuple(f"{dataset}.{model}.{init}.s{seed}" for seed in range(seeds))
    return Cell(dataset, model, init, "auc", mean, std, 0, 1, seeds, 100, runs, diverged=False, mark="")


def keyed(*cells: Cell) -> dict[CellKey, Cell]:
    return {(cell.dataset, cell.model, cell.init, cell.metric): cell for cell in cells}


def test_each_start_is_compared_with_the_models_own_runs_from_scratch() -> None:
    found = uplifts(
        keyed(
            cell(LOCAL, "scratch", 0.8),
            cell(LOCAL, "warm", 0.88),
            cell(LOCAL, "cold", 0.76),
            cell(CONV, "pretrained", 0.9),  # its scratch runs are not there, and those of others do not count
            cell(LOCAL, "warm", 0.9, dataset="a-224"),  # nor do those at another size
        ),
        0.95,
    )
    assert {at[2]: round(each.percent, 6) for at, each in found.items()} == {"warm": 10, "cold": -5}


def test_a_diverged_run_on_either_side_leaves_no_uplift() -> None:
    scratch, warm = cell(LOCAL, "scratch", 0.8), cell(LOCAL, "warm", 0.9)
    assert uplifts(keyed(scratch, replace(warm, diverged=True)), 0.95) == {}
    assert uplifts(keyed(replace(scratch, diverged=True), warm), 0.95) == {}


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    pretrained, scratch = rng.normal(0.9, 0.02, (4000, 3)), rng.normal(0.8, 0.01, (4000, 3))
    covered = 0
    for p, s in zip(pretrained, scratch, strict=True):
        pair = cell(LOCAL, "scratch", s.mean(), s.std(ddof=1)), cell(LOCAL, "warm", p.mean(), p.std(ddof=1))
        (found,) = uplifts(keyed(*pair), 0.9).values()
        covered += found.low <= 12.5 <= found.high
    # Welch's interval is close to its level at three seeds, a little above it
    assert 0.88 < covered / 4000 < 0.94


def test_one_seed_has_no_interval() -> None:
    scratch, warm = cell(LOCAL, "scratch", 0.8), cell(LOCAL, "warm", 0.88, float("nan"), seeds=1)
    (found,) = uplifts(keyed(scratch, warm), 0.95).values()
    assert found.percent == pytest.approx(10)
    assert np.isnan([found.low, found.high]).all()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two models from scratch, of which one was started warm and cold as well."""
    path = make_study(tmp_path, datasets=("a",), models=(LOCAL, CONV), diverged=())
    file = tmp_path / "results/fake/metrics/classification_4t/a-28.cells.csv"
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for init, factor in (("warm", 1.1), ("cold", 0.95)):
        local = [row for row in rows if row["model"] == LOCAL and row["init"] == "scratch"]
        rows += [{**row, "init": init, "mean": str(factor * float(row["mean"]))} for row in local]
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    index = json.loads(path.read_text())
    index["tables"]["classification_4t"]["rows"] += [[LOCAL, "warm"], [LOCAL, "cold"]]
    path.write_text(json.dumps(index))
    return Study.open(path)


def test_the_paper_can_print_each_uplift(study: Study) -> None:
    registry = values.build(study)
    at = f"uplift/auc/a-28/{LOCAL}"
    assert (registry[f"{at}/warm"].text, registry[f"{at}/cold"].text) == ("+10.0\u202f%", "−5.0\u202f%")
    assert registry[f"{at}/warm/low"].value < 10 < registry[f"{at}/warm/high"].value
    assert registry[f"{at}/warm"].line == f"cell:a-28/{LOCAL}/warm"
    assert not any(CONV in name for name in registry.values if name.startswith("uplift/"))


def test_warm_and_cold_have_their_own_markers(study: Study) -> None:
    figure, caption = uplift(study)
    dots = {tuple(line.get_ydata().round(6)): line for line in figure.axes[0].lines if line.get_marker() == "^"}
    warm, cold = dots[(10.0,)], dots[(-5.0,)]
    assert (warm.get_markerfacecolor() == "white", cold.get_markerfacecolor() == "white") == (False, True)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["local attention, warm", "local attention, cold"]
    assert "Hollow markers: cold start" in caption


def test_options_that_come_with_the_weights_are_told(study: Study) -> None:
    assert "Not the same network" not in uplift(study)[1]
    other = dict(study.run(next(iter(study.index["runs"]))))
    other["spec"] = {**other["spec"], "model_options": {**other["spec"]["model_options"], "head_dim": 32}}
    for at, found in study.cells.items():
        if found.init == "warm":
            study.cells[at] = replace(found, runs=("warm",))
    study._runs["warm"] = other
    told = "Not the same network on both sides: head dim 32 against 16 from scratch (local attention, warm)."
    assert uplift(study)[1].endswith(told)


def test_without_pretrained_models_the_figure_says_so(tmp_path: Path) -> None:
    figure, _ = uplift(open_study(tmp_path))
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == ["No model of this study was trained both pretrained and from scratch."]
