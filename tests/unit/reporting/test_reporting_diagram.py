"""The critical-difference diagram shows what ranks.csv says."""

import csv
from pathlib import Path

import pytest
from fake_studies import MODELS, open_study

from tokenmix.errors import UserError
from tokenmix.reporting import diagram


def _texts(figure) -> list[str]:
    return [text.get_text() for axis in figure.axes for text in axis.texts]


@pytest.mark.parametrize(
    ("places", "difference", "expected"),
    [
        ([1, 2, 3, 4], 0.5, []),
        ([1, 2, 3, 4], 1, [(0, 1), (1, 2), (2, 3)]),
        ([1, 1.5, 2, 4], 1, [(0, 2)]),
        ([1, 2, 2.5, 4, 4.2], 1.5, [(0, 2), (2, 3), (3, 4)]),
        ([1, 2, 3], 9, [(0, 2)]),
    ],
)
def test_bars_are_the_longest_runs_within_the_difference(
    places: list[float], difference: float, expected: list[tuple[int, int]]
) -> None:
    assert diagram.groups(places, difference) == expected


def test_every_model_stands_at_its_place_with_both_ranks(tmp_path: Path) -> None:
    study = open_study(tmp_path, diverged=(("pneumoniamnist", "xs-tttt-conv3"),))
    with (study.folder / "metrics/classification_4t/ranks.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file) if row["metric"] == "auc"}
    figure, caption = diagram.ranks(study)
    texts = " / ".join(_texts(figure))
    for model, name in ((MODELS[0], "pooling 3×3"), (MODELS[6], "identity")):
        shown = f"{name}  {float(rows[model]['average_place']):.2f} ({float(rows[model]['relative_rank']):.2f})"
        assert shown in texts
    assert "ResNet18" not in texts, "a baseline is no rival of token mixers"
    # a model with a diverged run has no average place, and the others move up
    assert "convolution 3×3" not in texts.replace("depthwise convolution", "")
    assert f"CD = {float(rows[MODELS[0]]['critical_difference']):.2f}" in texts
    assert "2 data sets, Friedman p = " in figure.axes[0].get_title()
    dots = sorted(line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o")
    assert dots == [1, 2, 3, 4, 5, 6]
    assert "\\val{study/level}" in caption


def test_one_panel_a_table_and_none_where_nothing_can_be_ranked(tmp_path: Path) -> None:
    base = {"caption": "", "metrics": ["auc"], "init": "scratch", "rows": [[model, "scratch"] for model in MODELS]}
    keys = ["breastmnist-28", "pneumoniamnist-28"]
    tables = {"one": {**base, "datasets": keys}, "two": {**base, "datasets": keys[:1], "rows": base["rows"][:1]}}
    study = open_study(tmp_path / "both", tables={"one": tables["one"], "again": tables["one"]})
    assert [axis.get_title().split(":")[0] for axis in diagram.ranks(study)[0].axes] == ["one", "again"]
    alone = open_study(tmp_path / "alone", models=MODELS[:1], tables={"two": tables["two"]})
    assert _texts(diagram.ranks(alone)[0]) == ["No two models finished on every data set of a table."]


def test_a_damaged_file_is_one_message(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    path = study.folder / "metrics/classification_4t/ranks.csv"
    path.write_text(path.read_text().replace("average_place", "places"))
    with pytest.raises(UserError, match=r"ranks\.csv has other columns than expected .'average_place'"):
        diagram.ranks(study)


def test_names_of_extensions_stay_apart_and_inside_the_figure(tmp_path: Path) -> None:
    mixer = "xs-tttt-local_attn5"
    study = open_study(
        tmp_path, models=(mixer, f"{mixer}+bilinear", f"{mixer}+bilinear+coordmlp", f"{mixer}+register"), diverged=()
    )
    figure, _ = diagram.ranks(study)
    figure.canvas.draw()
    texts = [text for text in figure.axes[0].texts if "local attention" in text.get_text()]
    assert len({text.get_text() for text in texts}) == len(texts) == 4
    for text in texts:
        extent = text.get_window_extent()
        assert extent.x0 >= 0 and extent.x1 <= figure.bbox.width, text.get_text()
