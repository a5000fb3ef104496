"""The published protocol: one name for all switches, each a setting of its own, and what is written wins."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tokenmix.study.config import Config
from tokenmix.study.load import load_config
from tokenmix.study.manifest import load_manifest
from tokenmix.study.plan import resolve
from tokenmix.study.published import SWITCHES, Switch, switched

ROOT = Path(__file__).resolve().parents[3]
NAMES = [switch.name for switch in SWITCHES]


def value_of(config: Config, switch: Switch) -> Any:
    value: Any = config
    for key in switch.setting.split("."):
        value = getattr(value, key)
    return value


def alone(switch: Switch) -> dict[str, Any]:
    """The switch as sections of a config."""
    section, _, key = switch.setting.rpartition(".")
    return {section: {key: switch.published}} if section else {key: switch.published}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's own config.yaml, which writes every default, and an overlay."""
    (tmp_path / "workflow" / "studies").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text())
    (tmp_path / "workflow/studies/own.yaml").write_text("training: {drop_last_validation: false}\n")
    return tmp_path


def test_the_corrected_protocol_is_the_default(project: Path) -> None:
    config = load_config(project, "full")
    assert config.protocol == "corrected"
    assert switched(config) == {}


def test_as_published_sets_every_switch(project: Path) -> None:
    config = load_config(project, "full", {"protocol": "as_published"})
    assert {switch.name: value_of(config, switch) for switch in SWITCHES} == {
        switch.name: switch.published for switch in SWITCHES
    }
    assert list(switched(config)) == NAMES
    assert all(switch.published != switch.corrected for switch in SWITCHES)
    assert config.lines["training.schedule_lag"] == "protocol: as_published (command line)"


def test_what_is_written_wins_over_the_protocol(project: Path) -> None:
    text = (project / "config.yaml").read_text()
    assert "selection_split: val " in text and "protocol: corrected\n" in text
    text = text.replace("selection_split: val ", "selection_split: test ")
    (project / "config.yaml").write_text(text.replace("protocol: corrected\n", "protocol: as_published\n"))
    config = load_config(project, "own", {"model": {"small_map_fallback": "false"}})
    assert config.training.selection_split == "test"  # config.yaml has a value of its own
    assert config.training.drop_last_validation is False  # the overlay says so
    assert config.model.small_map_fallback is False  # the command line says so
    assert config.training.schedule_lag is True and config.data.padding == "width"
    assert config.lines["training.schedule_lag"].startswith("protocol: as_published (config.yaml:")


@pytest.mark.parametrize("switch", SWITCHES, ids=NAMES)
def test_each_switch_can_be_set_alone(project: Path, switch: Switch) -> None:
    config = load_config(project, "full", alone(switch))
    assert switched(config) == {switch.name: switch.published}


@pytest.mark.parametrize("switch", SWITCHES, ids=NAMES)
def test_each_switch_makes_other_runs_of_the_data_sets_and_models_it_concerns(switch: Switch, tmp_path: Path) -> None:
    study = {
        "seeds": [0],
        "datasets": {"phantom_tissue": {"size": 28}, "imagewoof": {"size": 28}},
        "tables": {
            "t": {"scale": "xs", "mixers": {"local_attn": [3]}, "baselines": ["resnet18-k3"]},
            "p": {"arrangement": "pptt", "init": "pretrained", "mixers": {"local_attn": [3], "full_attn": None}},
            "h": {"arrangement": "pptt", "scale": "xs", "mixers": {"pooling": [3]}},
        },
    }
    concerned = {
        "data.padding": lambda run: "imagewoof" in run,
        "model.norm": lambda run: "resnet" not in run and ".scratch." in run,
        "pooling_rows": lambda run: "pptt-pooling" in run,
        "model.warm_heads": lambda run: ".cold." in run or (".warm." in run and "local_attn" in run),
        "model.small_map_fallback": lambda run: "resnet" not in run,
    }
    plain = set(resolve(Config.model_validate(study), tmp_path).runs)
    other = set(resolve(Config.model_validate({**study, **alone(switch)}), tmp_path).runs)
    same = plain & other
    assert same == {run for run in plain if not concerned.get(switch.setting, lambda run: True)(run)}


def test_every_switch_says_what_it_does_in_a_sentence() -> None:
    assert all(switch.sentence.endswith(".") and switch.sentence.count(". ") == 0 for switch in SWITCHES)
    assert len(set(NAMES)) == len(NAMES)


def test_the_manual_marks_every_published_value() -> None:
    text = (ROOT / "config.yaml").read_text()
    settings = yaml.safe_load(text)
    for switch in SWITCHES:
        section, _, key = switch.setting.rpartition(".")
        assert (settings[section] if section else settings)[key] == switch.corrected
        comment = text[text.index(f"  {key}:" if section else f"\n{key}:") :]
        shown = str(switch.published).lower() if isinstance(switch.published, bool) else switch.published
        assert f"published: {shown}" in comment[:400], switch.name


def test_the_kind_of_data_set_decides_whether_padding_counts() -> None:
    from tokenmix.study.datahash import data_identity

    source, manifest = ROOT / "src", load_manifest()
    for name, size, counts in (("imagewoof", 64, True), ("breastmnist", 28, False), ("phantom_tissue", 28, False)):
        square, width = (data_identity(name, size, manifest, source, padding) for padding in ("square", "width"))
        assert (square.hash != width.hash) == counts
        assert (width.padding == "width") == counts
