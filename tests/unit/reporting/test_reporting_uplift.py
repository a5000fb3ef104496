"""Uplift by pretraining: like for like, with an interval over seeds."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from fake_studies import make_study, open_study

from tokenmix.reporting import values
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.records import Cell, CellKey
from tokenmix.reporting.registry import Registry
from tokenmix.reporting.uplift import Uplift, add_uplifts, uplifts
from tokenmix.reporting.uplift_figure import uplift

LOCAL, CONV = "s12-pptt-local_attn5", "s12-pptt-conv3"


def cell(model: str, init: str, mean: float, std: float = 0.01, seeds: int = 3, dataset: str = "a-28") -> Cell:
    runs = tuple(f"{dataset}.{model}.{init}.s{seed}" for seed in range(seeds))
    return Cell(dataset, model, init, "auc", mean, std, 0, 1, seeds, 100, runs, diverged=False, mark="")


def found_among(
    *cells: Cell, level: float = 0.95, reused: dict[tuple[str, str], str] | None = None, **options: dict[str, Any]
) -> dict[CellKey, Uplift]:
    """The uplifts of a study of these cells. options: initialisation -> what differs in the settings of its runs."""
    own = {cell.runs[0]: options.get(cell.init, {}) for cell in cells}
    specs = {
        run: {
            "training": {"lr": 0.001, **{name: value for name, value in own.items() if name == "lr"}},
            "model_options": {"head_dim": 16, "norm": "channel", **{k: v for k, v in own.items() if k != "lr"}},
        }
        for run, own in own.items()
    }
    study = SimpleNamespace(
        cells={(cell.dataset, cell.model, cell.init, cell.metric): cell for cell in cells},
        level=level,
        reused=reused or {},
        run=lambda run: {"spec": specs[run]},
    )
    return uplifts(cast(Study, study))


def test_each_start_is_compared_with_the_models_own_runs_from_scratch() -> None:
    found = found_among(
        cell(LOCAL, "scratch", 0.8),
        cell(LOCAL, "warm", 0.88),
        cell(LOCAL, "cold", 0.76),
        cell(CONV, "pretrained", 0.9),  # its scratch runs are not there, and those of others do not count
        cell(LOCAL, "warm", 0.9, dataset="a-224"),  # nor do those at another size
    )
    assert {at[2]: round(each.percent, 6) for at, each in found.items()} == {"warm": 10, "cold": -5}


def test_a_diverged_run_on_either_side_leaves_no_uplift() -> None:
    scratch, warm = cell(LOCAL, "scratch", 0.8), cell(LOCAL, "warm", 0.9)
    assert found_among(scratch, replace(warm, diverged=True)) == {}
    assert found_among(replace(scratch, diverged=True), warm) == {}


def test_the_baseline_is_the_matched_network_where_there_is_one() -> None:
    cells = (cell(LOCAL, "scratch", 0.8), cell(LOCAL, "matched", 0.88), cell(LOCAL, "warm", 0.968))
    (found,) = found_among(*cells, warm={"head_dim": 32}, matched={"head_dim": 32}).values()
    assert (found.scratch.init, round(found.percent, 6)) == ("matched", 10)
    (found,) = found_among(*cells[::2], warm={"head_dim": 32}).values()
    assert (found.scratch.init, round(found.percent, 6)) == ("scratch", 21)


def test_a_pretrained_model_that_is_the_plain_network_keeps_the_plain_baseline() -> None:
    # as published, global attention has heads of the weights where it starts warm only
    model = "s12-pptt-full_attn"
    cells = [cell(model, init, 0.8) for init in ("matched", "scratch", "warm", "cold")]
    found = found_among(*cells, warm={"head_dim": 32}, matched={"head_dim": 32})
    assert {at[2]: each.scratch.init for at, each in found.items()} == {"warm": "matched", "cold": "scratch"}


def test_reused_rows_are_the_baseline_of_a_model_without_runs_of_its_own() -> None:
    own, other = "s12-pptt-pooling3", "s12-tttt-pooling3"
    cells = (cell(other, "scratch", 0.8), cell(own, "pretrained", 0.88))
    assert found_among(*cells) == {}
    (found,) = found_among(*cells, reused={("a-28", own): other}).values()
    assert (found.scratch.model, round(found.percent, 6)) == (other, 10)
    (found,) = found_among(*cells, cell(own, "scratch", 0.88), reused={("a-28", own): other}).values()
    assert found.scratch.model == own


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    pretrained, scratch = rng.normal(0.9, 0.02, (4000, 3)), rng.normal(0.8, 0.01, (4000, 3))
    covered = 0
    for p, s in zip(pretrained, scratch, strict=True):
        pair = cell(LOCAL, "scratch", s.mean(), s.std(ddof=1)), cell(LOCAL, "warm", p.mean(), p.std(ddof=1))
        (found,) = found_among(*pair, level=0.9).values()
        covered += found.low <= 12.5 <= found.high
    # Welch's interval is close to its level at three seeds, a little above it
    assert 0.88 < covered / 4000 < 0.94


def test_one_seed_has_no_interval() -> None:
    scratch, warm = cell(LOCAL, "scratch", 0.8), cell(LOCAL, "warm", 0.88, float("nan"), seeds=1)
    (found,) = found_among(scratch, warm).values()
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


def retold(study: Study, init: str, **settings: Any) -> None:
    """Runs of cells with this initialisation attest other settings: fields of training or of the model's options."""
    other = dict(study.run(next(iter(study.index["runs"]))))
    spec = {section: dict(other["spec"][section]) for section in ("training", "model_options")}
    for name, value in settings.items():
        next(section for section in spec.values() if name in section)[name] = value
    study._runs[init] = {**other, "spec": {**other["spec"], **spec}}
    for at, found in study.cells.items():
        if found.init == init:
            study.cells[at] = replace(found, runs=(init,))


def test_what_differs_beside_the_weights_is_told(study: Study) -> None:
    assert "Not alike" not in uplift(study)[1]
    retold(study, "warm", head_dim=32, norm="by_arrangement")  # which is channel for this model
    told = "Not alike on both sides: head dim 32 against 16 from scratch (local attention, warm)."
    assert uplift(study)[1].endswith(told)
    retold(study, "warm", lr=0.0001)
    told = "Not alike on both sides: lr 0.0001 against 0.001 from scratch (local attention, warm)."
    assert uplift(study)[1].endswith(told)


def test_a_matched_baseline_leaves_no_difference_to_tell(study: Study) -> None:
    for at, found in list(study.cells.items()):
        if at[1:3] == (LOCAL, "scratch"):
            study.cells[at[0], LOCAL, "matched", at[3]] = replace(found, init="matched")
    for init in ("warm", "cold", "matched"):
        retold(study, init, head_dim=32)
    caption = uplift(study)[1]
    assert caption.endswith(
        "The model from scratch has the norm and the heads of the published weights "
        "(local attention, warm and local attention, cold)."
    )
    registry = Registry()
    add_uplifts(registry, study)
    how = registry[f"uplift/auc/a-28/{LOCAL}/warm"].how
    assert how == "macro AUC, warm start, against the mean of the same model from scratch, matched, in percent"


def test_without_pretrained_models_the_figure_says_so(tmp_path: Path) -> None:
    figure, _ = uplift(open_study(tmp_path))
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == ["No model of this study was trained both pretrained and from scratch."]
