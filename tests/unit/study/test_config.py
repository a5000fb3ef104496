"""Loading a study: overlays, defaults, where values come from, and the studies that come with the project."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tokenmix.study.config import Comparison, Config
from tokenmix.study.load import load_config, studies
from tokenmix.study.plan import resolve
from tokenmix.study.protocol import Rung
from tokenmix.study.yaml_lines import read_yaml

ROOT = Path(__file__).resolve().parents[3]

BASE = """\
study: small
seeds: [0, 1, 2]
training:
  lr: 1e-3
  batch_size: 64
datasets:
  breastmnist: {size: 28}
  pathmnist:
    size: 64
    training: {lr: 2.0e-3, divergence: {policy: ladder, ladder: [{lr_factor: 0.5}]}}
tables:
  first:
    metrics: [auc]
    mixers:
      pooling: [3, 5]
      conv: [3]
      identity:
    baselines: [resnet18-k3]
evaluation: {seed: 5}
"""
OVERLAY = """\
seeds: [7]
training:
  lr: 5e-4
model:
evaluation:
  # a section that holds nothing but comments says nothing
datasets:
  pathmnist: false
tables:
  first:
    mixers:
      conv: false
      pooling: [7]
      sep_conv: [3]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's root with a config and the overlay `small`."""
    (tmp_path / "workflow" / "studies").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text(BASE)
    (tmp_path / "workflow" / "studies" / "small.yaml").write_text(OVERLAY)
    return tmp_path


def test_lists_replace_mappings_merge_false_leaves_out(project: Path) -> None:
    config = load_config(project)
    assert config.study == "small"
    assert config.seeds == [7]
    assert (config.training.lr, config.training.batch_size) == (5e-4, 64)
    assert (config.evaluation.seed, config.model.head_dim) == (5, 16)
    assert list(config.datasets) == ["breastmnist"]
    assert config.tables["first"].models() == [
        "s12-tttt-pooling7",
        "s12-tttt-identity",
        "s12-tttt-sep_conv3",
        "resnet18-k3",
    ]


def test_full_has_no_overlay(project: Path) -> None:
    config = load_config(project, "full")
    assert config.study == "full"
    assert config.datasets_of("first") == ["breastmnist", "pathmnist"]
    assert config.seeds == [0, 1, 2]


def test_a_data_set_has_its_own_training_settings(project: Path) -> None:
    config = load_config(project, "full")
    own = config.training_for("pathmnist", "first")
    assert (own.lr, own.batch_size, own.divergence.policy) == (2e-3, 64, "ladder")
    assert config.training_for("breastmnist", "first") == config.training


def test_rates_of_a_data_set_are_judged_together_with_the_studys(project: Path) -> None:
    own = {"breastmnist": {"training": {"min_lr": 0.05}}}
    config = load_config(project, overrides={"training": {"lr": 0.1}, "datasets": own})
    assert config.training_for("breastmnist", "first").min_lr == 0.05


def test_the_command_line_comes_last(project: Path) -> None:
    # as Snakemake hands it over: scalars inside mappings and lists are texts
    overrides = {
        "study": "full",
        "training": {"lr": "2e-4", "compile": "true"},
        "seeds": ["3"],
        "tables": {"first": {"mixers": {"conv": "false"}}},
    }
    config = load_config(project, overrides=overrides)
    assert (config.study, config.training.lr, config.training.compile, config.seeds) == (
        "full",
        2e-4,
        True,
        [3],
    )
    assert "s12-tttt-conv3" not in config.tables["first"].models()
    assert config.lines["training.lr"] == "command line"


def test_lines_say_where_a_value_was_written(project: Path) -> None:
    lines = load_config(project).lines
    assert lines["training.batch_size"] == "config.yaml:5"
    assert lines["training.lr"] == "workflow/studies/small.yaml:3"
    assert lines["seeds"] == lines["seeds.0"] == "workflow/studies/small.yaml:1"
    assert "seeds.1" not in lines
    assert lines["tables.first.mixers.identity"] == "config.yaml:17"
    assert lines["datasets.breastmnist.size"] == "config.yaml:7"
    # a section of both files is that of the overlay, which asks for it last, but not where it says nothing
    assert lines["tables.first"] == "workflow/studies/small.yaml:10"
    assert lines["tables.first.mixers"] == "workflow/studies/small.yaml:11"
    assert (lines["datasets"], lines["evaluation"]) == ("workflow/studies/small.yaml:7", "config.yaml:19")
    given = load_config(project, overrides={"tables": {"first": {"seeds": [3]}}}).lines
    assert (given["tables.first"], given["tables.first.seeds"]) == ("workflow/studies/small.yaml:10", "command line")


def test_numbers_words_and_dates_are_read_by_one_clear_rule(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "[1e-3, 1.e3, -.5E+2, 12, yes, on, 2020-01-01, 1_000, 1:30, 0x10, ~, true, '1', .inf]".join(["a: ", "\n"])
    )
    value = read_yaml(file, "x.yaml").value["a"]
    assert value == [
        *(1e-3, 1e3, -50.0, 12, "yes", "on", "2020-01-01", "1_000", "1:30", "0x10"),
        *(None, True, "1", float("inf")),
    ]
    assert [type(item) for item in value[:4]] == [float, float, float, int]


def test_registered_folders_are_data_sets(project: Path) -> None:
    (project / "data" / "registered").mkdir(parents=True)
    entry = {
        **{"kind": "folder", "title": "Mine", "task": "binary", "classes": ["a", "b"], "channels": 3},
        **{"splits": {"train": 4, "val": 2, "test": 2}, "path": "images", "sha256": "0" * 64},
    }
    (project / "data" / "registered" / "my_images.yaml").write_text(yaml.safe_dump(entry))
    config = load_config(project, overrides={"datasets": {"my_images": {"size": 50}}})
    assert config.datasets["my_images"].size == 50


def test_the_config_shows_every_setting_with_its_default() -> None:
    written = read_yaml(ROOT / "config.yaml", "config.yaml")
    defaults = Config().model_dump(mode="json")
    assert not written.problems
    assert written.value.keys() == defaults.keys()
    # of a remedy only what it changes is written
    remedies = written.value["training"]["divergence"].pop("ladder")
    assert [Rung(**remedy).model_dump() for remedy in remedies] == defaults["training"]["divergence"].pop("ladder")
    (shown, *_), fields = written.value["switches"], Comparison.model_fields
    assert shown.keys() == fields.keys()
    assert all(shown[name] == field.default for name, field in fields.items() if not field.is_required())
    for key in defaults.keys() - {"datasets", "tables", "switches"}:
        assert written.value[key] == defaults[key], key


def test_the_projects_yaml_means_the_same_to_every_reader() -> None:
    # no number, word or date in our files is one that YAML 1.1 and 1.2 read differently
    for file in [ROOT / "config.yaml", *(ROOT / "workflow" / "studies").glob("*.yaml")]:
        assert read_yaml(file, file.name).value == yaml.safe_load(file.read_text()), file


def test_a_study_of_other_tables_may_leave_out_the_data_set_of_the_switches(tmp_path) -> None:
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text())
    overlay = tmp_path / "workflow/studies/own.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text("datasets: {breastmnist: false}\ntables: {screening: false}\npaper_tables: [extensions]\n")
    assert not load_config(tmp_path, "own").comparisons


def test_the_full_study_is_the_status_reports() -> None:
    config = load_config(ROOT, "full")
    table = config.tables["classification_4t"]
    assert set(config.datasets_of("classification_4t")) == {
        *("imagewoof", "pathmnist", "dermamnist", "pneumoniamnist", "organsmnist")
    }
    assert {config.datasets[name].size for name in config.datasets_of("classification_4t")} == {224}
    assert len(table.models()) == 4 * 3 + 4 + 3
    assert all(model.startswith(("s12-tttt-", "resnet18-k")) for model in table.models())
    assert (table.init, len(config.seeds), config.execution.needs_gpu) == ("scratch", 3, True)
    assert config.training.precision == "bf16"


@pytest.mark.parametrize(("study", "limit"), [("demo", 16), ("breastmnist", 27)])
def test_small_studies_are_small(study: str, limit: int) -> None:
    config = load_config(ROOT, study)
    cells = [
        (dataset, model)
        for name, table in config.chosen_tables.items()
        for dataset in config.datasets_of(name)
        for model in table.models()
    ]
    assert 0 < len(cells) * len(config.seeds) <= limit
    assert config.training.precision == "fp32"
    assert not config.execution.needs_gpu
    assert len(config.seeds) > 1


def test_breastmnist_compares_all_mixers_and_resnet() -> None:
    models = load_config(ROOT, "breastmnist").tables["classification_4t"].models()
    assert len(models) == 9
    assert "resnet18-k3" in models


@pytest.mark.parametrize("study", ["demo", "breastmnist", "mini", "full"])
def test_every_run_of_a_study_of_ours_leaves_its_warm_up(study: str) -> None:
    runs = resolve(load_config(ROOT, study), ROOT).runs.values()
    assert [run.id for run in runs if run.epochs <= run.spec.training["warmup_epochs"]] == []


def test_mini_is_the_full_study_in_small_and_knows_the_runs_of_breastmnist() -> None:
    mini, full = load_config(ROOT, "mini"), load_config(ROOT, "full")
    for name in ("classification_4t", "classification_2p2t", "extensions", "patch_embeddings", "medmnist3d"):
        assert mini.tables[name].mixers == full.tables[name].mixers
    runs = resolve(mini, ROOT).runs
    assert len(runs) <= 160 and resolve(load_config(ROOT, "breastmnist"), ROOT).runs.keys() <= runs.keys()


def test_the_folder_study_loads_once_its_folder_is_registered(tmp_path: Path) -> None:
    (tmp_path / "workflow" / "studies").mkdir(parents=True)
    (tmp_path / "data" / "registered").mkdir(parents=True)
    for file in ("config.yaml", "workflow/studies/folder.yaml"):
        (tmp_path / file).write_text((ROOT / file).read_text())
    (tmp_path / "data" / "registered" / "imagewoof_subset.yaml").write_text(
        "{kind: folder, title: T, task: multi-class, classes: [a, b, c], channels: 3, path: p, "
        f"splits: {{train: 3, val: 3, test: 3}}, sha256: '{'0' * 64}'}}"
    )
    assert load_config(tmp_path, "folder").seeds == [0]


def test_study_names_are_the_overlays_and_full() -> None:
    assert studies(ROOT) == ["breastmnist", "demo", "folder", "mini", "full"]


def test_importing_is_light() -> None:
    code = "import sys, tokenmix.study.load; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "numpy", "pandas", "timm", "scipy", "sklearn", "matplotlib", "snakemake"} & set(loaded)
