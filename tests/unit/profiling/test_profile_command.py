"""`tokenmix profile` on a hand-written study: its three files."""

import csv
import json
from pathlib import Path

import pytest

from tokenmix.cli import main
from tokenmix.study.mixers import mixers

MODELS = ["xs-pptt-local_attn5", "xs-tttt-identity", "resnet18-k3"]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Two data sets, three models; the ResNet is trained on the first data set only."""
    datasets = {
        f"{name}-28": {"name": name, "size": 28, "channels": channels, "classes": classes, "dimensions": 2}
        for name, channels, classes in (("grey", 1, 2), ("colour", 3, 3))
    }
    cells = [(name, model) for name in ("grey", "colour") for model in MODELS][:-1]
    content = {
        "study": "demo",
        "results": "results",
        "runs": {f"{name}.{model}": {"dataset": name, "size": 28, "model": model} for name, model in cells},
        "datasets": datasets,
        "tables": {"first": {"models": MODELS[1:]}, "second": {"models": MODELS[:2]}},
        "profile": {"image_sizes": [28, 64], "mac_kernels": [3, 5], "mac_image_size": 768},
        "model_options": {"head_dim": 16},
    }
    path = tmp_path / "results/plan/demo.12345678.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    return path


def profile(index: Path) -> dict[str, list[dict[str, str]]]:
    folder = index.parent.parent / "profile"
    assert main(["profile", "--plan", str(index), "--out", str(folder)]) == 0
    tables = {}
    for path in sorted(folder.iterdir()):
        with path.open(newline="") as file:
            tables[path.stem] = list(csv.DictReader(file))
    return tables


def test_three_tables(index: Path) -> None:
    tables = profile(index)
    assert sorted(tables) == ["mixers", "models", "sizes"]
    assert [row["skipped"] for rows in tables.values() for row in rows] == [""] * sum(map(len, tables.values()))

    models = {(row["model"], row["dataset"]): row for row in tables["models"]}
    assert len(models) == 5
    assert ("resnet18-k3", "colour-28") not in models
    grey, colour = (models["xs-tttt-identity", f"{name}-28"] for name in ("grey", "colour"))
    assert (grey["channels"], colour["channels"], grey["size"]) == ("1", "3", "28")
    # two more input channels in the stem of kernel 7 and width 16, one more class behind 128 channels
    assert int(colour["parameters"]) - int(grey["parameters"]) == 2 * 49 * 16 + 128 + 1
    assert int(colour["macs"]) - int(grey["macs"]) == 2 * 49 * 16 * 14 * 14 + 128

    layers = {(row["mixer"], row["kernel"], row["stage"]): row for row in tables["mixers"]}
    assert len(layers) == (2 + 1) * 4  # local attention with two kernels, identity with none
    assert all(row["macs"] == row["formula"] for row in layers.values())
    assert [layers["local_attn", "3", str(stage)]["grid"] for stage in range(1, 5)] == [
        "192",
        "96",
        "48",
        "24",
    ]
    assert [layers["local_attn", "3", str(stage)]["dim"] for stage in range(1, 5)] == [
        "64",
        "128",
        "320",
        "512",
    ]

    sizes = {(row["model"], row["image_size"]): int(row["macs"]) for row in tables["sizes"]}
    assert sorted(sizes) == sorted((model, size) for model in MODELS for size in ("28", "64"))
    assert all(sizes[model, "28"] < sizes[model, "64"] for model in MODELS)


NEW_MIXER = """
import torch
from torch import nn

TAKES_KERNEL = False


class Mixer(nn.Module):
    def __init__(self, site, kernel=None):
        super().__init__()
        self.project = nn.Linear(site.dim, site.dim)
        {constructor}

    def forward(self, x_BCHW):
        return {forward}
"""
FORWARD = "self.project(x_BCHW.movedim(1, -1)).movedim(-1, 1)"


@pytest.fixture
def new_mixer(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Adds a mixer `shiny` in its one file to the package's folder of mixers, as seen from this process."""
    import tokenmix.models.mixers as package
    import tokenmix.profiling.rows as rows
    import tokenmix.study.grammar as grammar

    def add(**parts: str) -> None:
        folder = tmp_path / "mixers"
        folder.mkdir()
        (folder / "shiny.py").write_text(NEW_MIXER.format(**{"constructor": "", "forward": FORWARD} | parts))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        known = {**mixers(), "shiny": False}
        monkeypatch.setattr(grammar, "mixers", lambda *_: known)
        monkeypatch.setattr(rows, "mixers", lambda *_: known)
        monkeypatch.delitem(__import__("sys").modules, "tokenmix.models.mixers.shiny", raising=False)
        content = json.loads(index.read_text())
        content["tables"] = {"first": {"models": ["xs-tttt-shiny"]}}
        index.write_text(json.dumps(content))

    return add


def test_a_new_mixer_appears_without_a_formula(index: Path, new_mixer) -> None:  # type: ignore[no-untyped-def]
    new_mixer()
    tables = profile(index)
    layers = [row for row in tables["mixers"] if row["mixer"] == "shiny"]
    sides, widths = (192, 96, 48, 24), (64, 128, 320, 512)
    assert [int(row["macs"]) for row in layers] == [d * d * n * n for d, n in zip(widths, sides, strict=True)]
    assert {row["formula"] for row in layers} == {""}
    assert len([row for row in tables["sizes"] if row["model"] == "xs-tttt-shiny"]) == 2


def test_what_a_new_mixer_hides_is_named(index: Path, new_mixer, capsys) -> None:  # type: ignore[no-untyped-def]
    new_mixer(forward="x_BCHW.cumsum(-1)")
    rows = [row for row in profile(index)["mixers"] if row["mixer"] == "shiny"]
    assert {row["skipped"] for row in rows} == {"aten::cumsum"}
    assert "aten::cumsum" in capsys.readouterr().out


def test_a_mixer_that_needs_values_is_explained(index: Path, new_mixer, capsys) -> None:  # type: ignore[no-untyped-def]
    new_mixer(constructor="self.size = torch.ones(1).item()")
    assert main(["profile", "--plan", str(index), "--out", str(index.parent)]) == 2
    error = capsys.readouterr().err
    assert "s12-tttt-shiny cannot be counted" in error
    assert "meta device" in error
