"""The figure of confusion matrices: shares of the best model, and what is left out."""

import json
from pathlib import Path

import pytest
from fake_studies import MODELS, make_study, open_study

from tokenmix.errors import UserError
from tokenmix.reporting.confusion import confusion
from tokenmix.reporting.inputs import Study


def _texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


def test_each_panel_shows_the_best_models_shares_of_each_true_class(tmp_path: Path) -> None:
    study = open_study(tmp_path, diverged=(("pneumoniamnist", MODELS[0]),))
    path = study.folder / "metrics/classification_4t/pneumoniamnist-28.confusion.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.replace(",1,0,1", ",1,0,101") if MODELS[1] in line else line for line in lines))
    [(figure, caption)] = confusion(study)
    first, second = figure.axes
    assert first.get_title() == "breastmnist\npooling 3×3\nclassification [T,T,T,T]"
    # the best mean diverged there, so that the second best is shown
    assert second.get_title() == "pneumoniamnist\nconvolution 3×3\nclassification [T,T,T,T]"
    assert _texts(first) == ["90", "10", "<1", "100"]
    assert _texts(second) == ["90", "10", "25", "75"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["malignant", "normal, benign"]
    assert "highest macro AUC" in caption
    assert "Not shown" not in caption


def test_the_best_model_is_that_of_all_tables_and_each_data_set_has_a_panel(tmp_path: Path) -> None:
    names = [f"set{number}" for number in range(7)]
    rows = {"weak": MODELS[4:6], "strong": MODELS[:2], "other": MODELS[:1]}
    datasets = {"weak": ["set0-28"], "strong": ["set0-28"], "other": [f"{name}-28" for name in names[1:]]}
    tables = {
        name: {"datasets": datasets[name], "metrics": ["auc"], "rows": [[model, "scratch"] for model in rows[name]]}
        for name in rows
    }
    first, second = (figure for figure, _ in confusion(open_study(tmp_path, datasets=names, tables=tables)))
    titles = [axis.get_title() for figure in (first, second) for axis in figure.axes]
    assert titles[0] == "set0\npooling 3×3\nstrong"
    assert titles[1:] == [f"{name}\npooling 3×3\nother" for name in names[1:]]
    assert len(second.axes) == 1


def test_multi_label_sets_are_left_out_with_a_reason(tmp_path: Path) -> None:
    path = make_study(tmp_path)
    for name in ("breastmnist", "pneumoniamnist"):
        card = tmp_path / f"data/{name}-28/card.json"
        card.write_text(json.dumps({**json.loads(card.read_text()), "task": "multi-label"}))
        [(figure, caption)] = confusion(Study.open(path))
        assert f"{name}, whose labels do not exclude each other" in caption.replace("breastmnist and ", "")
    assert _texts(figure.axes[0]) == ["No model finished on a data set whose classes exclude each other."]


def test_a_class_that_no_card_knows_is_one_message(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    path = study.folder / "metrics/classification_4t/breastmnist-28.confusion.csv"
    path.write_text(path.read_text().replace(",1,0,1", ",2,0,1"))
    with pytest.raises(UserError, match=r"breastmnist-28\.confusion\.csv .* delete it so that it is made again"):
        confusion(study)
