"""The main metric against the kernel: places, bars, and which lines are solid."""

from pathlib import Path

import pytest
from fake_studies import MODELS, open_study

from tokenmix.reporting.figures_style import look
from tokenmix.reporting.kernels import kernels

CONV, LOCAL = ("xs-tttt-conv3", "xs-tttt-conv7"), ("xs-tttt-local_attn3", "xs-tttt-local_attn5", "xs-tttt-local_attn7")


def _lines(axis, mixer: str) -> list:
    return [line for line in axis.lines if line.get_color() == look(mixer)["color"]]


def test_a_point_stands_at_its_kernel_with_the_spread_over_seeds(tmp_path: Path) -> None:
    study = open_study(tmp_path, models=(*CONV, *LOCAL, "xs-tttt-identity"), diverged=())
    figure, caption = kernels(study)
    axis = figure.axes[0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["3", "5", "7", "none"]
    joined, *bars, dots = _lines(axis, "local_attn")
    assert [round(x) for x in dots.get_xdata()] == [0, 1, 2]
    assert list(joined.get_xdata()) == list(dots.get_xdata())
    for bar, model, y in zip(bars, LOCAL, dots.get_ydata(), strict=True):
        cell = study.cells["breastmnist-28", model, "scratch", "auc"]
        assert y == cell.mean
        assert list(bar.get_ydata()) == pytest.approx([cell.mean - cell.std, cell.mean + cell.std])
    # a kernel that a mixer does not have leaves a gap; a mixer without kernel stands at the right end
    assert [round(x) for x in _lines(axis, "conv")[-1].get_xdata()] == [0, 2]
    assert [round(x) for x in _lines(axis, "identity")[-1].get_xdata()] == [3]
    # mixers do not hide each other
    assert len({line.get_xdata()[0] for line in (dots, _lines(axis, "conv")[-1])}) == 2
    assert "standard deviation over seeds" in caption
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["convolution", "local attention", "identity"]


def test_a_line_is_solid_where_its_ends_differ_significantly(tmp_path: Path) -> None:
    # differences above 0.02 are significant in the fake study, and neighbours lie about 0.012 apart
    study = open_study(tmp_path, models=(*CONV, *LOCAL), diverged=())
    axis = kernels(study)[0].axes[0]
    assert _lines(axis, "conv")[0].get_linestyle() == ":"
    assert _lines(axis, "local_attn")[0].get_linestyle() == "-"


def test_diverged_cells_and_extensions_are_left_out(tmp_path: Path) -> None:
    models = (*LOCAL, "xs-tttt-local_attn9+slopes")
    study = open_study(tmp_path, models=models, diverged=(("breastmnist", LOCAL[1]),))
    first, second = kernels(study)[0].axes
    assert [round(x) for x in _lines(first, "local_attn")[-1].get_xdata()] == [0, 2]
    assert [round(x) for x in _lines(second, "local_attn")[-1].get_xdata()] == [0, 1, 2]


def test_only_tables_with_two_kernels_of_a_mixer_are_drawn(tmp_path: Path) -> None:
    base = {"caption": "", "metrics": ["f1"], "init": "scratch", "datasets": ["breastmnist-28"]}
    table = {**base, "models": list(LOCAL), "rows": [[model, "scratch"] for model in LOCAL]}
    tables = {"many": table, "again": table}
    figure, _ = kernels(open_study(tmp_path / "a", datasets=["breastmnist"], models=LOCAL, tables=tables))
    assert [axis.get_ylabel() for axis in figure.axes] == ["many\nmacro F1", "again\nmacro F1"]
    figure, _ = kernels(open_study(tmp_path / "b", models=(MODELS[0], MODELS[-1], MODELS[1])))
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "No table of this study has a mixer with two kernels."
    ]
