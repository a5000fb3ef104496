"""How models and tables are called."""

import pytest

from tokenmix.reporting.names import model_name, row_label, row_text
from tokenmix.reporting.records import Table


@pytest.mark.parametrize(
    ("name", "label", "text"),
    [
        ("s12-tttt-local_attn5", "local attention", "local attention 5×5"),
        ("s12-tttt-local_attn5+slopes", "local attention + slopes", "local attention 5×5 + slopes"),
        (
            "xs-tttt-local_attn5+bilinear+coordmlp+cls",
            "local attention + bilinear patch embedding + coordinate MLP + CLS token",
            "local attention 5×5 + bilinear patch embedding + coordinate MLP + CLS token",
        ),
        ("xs-tttt-shiny3+newer", "shiny + newer", "shiny 3×3 + newer"),
        ("xs-pptt-identity", "identity", "identity"),
        ("xs-tttt-shift2d_x3", "shift2d x", "shift2d x 3×3"),
        ("resnet18-k5", "ResNet18", "ResNet18 5×5"),
        ("fcvit_b12", "FCViT-B12", "FCViT-B12"),
        ("s12-tttt-fcvit11", "FCViT mixer", "FCViT mixer 11×11"),
        ("something else", "something else", "something else"),
    ],
)
def test_models_in_words(name: str, label: str, text: str) -> None:
    assert (model_name(name).label, model_name(name).text) == (label, text)


def test_rows_of_one_model_that_start_in_other_ways_have_other_labels() -> None:
    starts = ("scratch", "matched", "warm", "cold")
    labels = {init: row_label("s12-pptt-local_attn3", init) for init in starts}
    assert (labels["scratch"], labels["matched"]) == ("local attention", "local attention, matched")
    assert len(set(labels.values())) == len({row_text("s12-pptt-full_attn", init) for init in starts}) == len(starts)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("classification_4t", "classification [T,T,T,T]"),
        ("classification_2p2t_pretrained", "classification [P,P,T,T] pretrained"),
        ("extensions", "extensions"),
        ("medmnist3d", "medmnist3d"),
        ("my_3t", "my 3t"),
    ],
)
def test_tables_in_words(name: str, title: str) -> None:
    assert Table(name, "", (), (), "scratch", ()).title == title
