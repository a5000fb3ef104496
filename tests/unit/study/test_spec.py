"""What makes a run's name: every field that can change its outcome, and nothing else."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from tokenmix.study import spec as spec_module
from tokenmix.study.checkpoints import load_checkpoints
from tokenmix.study.config import Config
from tokenmix.study.grid import Run
from tokenmix.study.protocol import ModelOptions, Training
from tokenmix.study.spec import NEUTRAL, RunSpec, identifying, resolve_spec, run_id

SPEC = RunSpec("breastmnist", 28, "xs-tttt-conv3", "scratch", 0, {"lr": 0.001, "iterations": 10}, {"head_dim": 16})
TRAINING_FIELDS = sorted(Training.model_fields.keys() - {"divergence"})


def resolved(name: str = "xs-tttt-local_attn3", **sections: Any) -> RunSpec:
    values = {"datasets": {"breastmnist": {"size": 28}}, "tables": {"t": {}}, **sections}
    return resolve_spec(Config.model_validate(values), Run("breastmnist", 28, name, "scratch", 0, ("t",)), {})


def another(section: type, field: str) -> Any:
    """A valid value of a field that is not its default."""
    info = section.model_fields[field]
    if isinstance(info.default, bool):
        return not info.default
    if isinstance(info.default, int):
        return info.default + 1
    if isinstance(info.default, float):
        return info.default / 2
    return next(value for value in get_args(info.annotation) if value != info.default)


@pytest.mark.parametrize("field", TRAINING_FIELDS)
def test_every_training_field_counts(field):
    assert resolved(training={field: another(Training, field)}).hash != resolved().hash


@pytest.mark.parametrize("field", sorted(ModelOptions.model_fields.keys() - {"warm_heads"}))
def test_every_model_option_counts_for_metaformers_only(field):
    changed = {"model": {field: another(ModelOptions, field)}}
    assert resolved(**changed).hash != resolved().hash
    assert resolved("resnet18-k3", **changed).hash == resolved("resnet18-k3").hash


@pytest.mark.parametrize(
    ("mixer", "init", "choice", "head_dim"),
    [
        ("local_attn3", "warm", "checkpoint", 32),
        ("local_attn3", "warm", "by_mixer", 16),
        ("local_attn3", "cold", "checkpoint", 32),
        ("local_attn3", "cold", "by_mixer", 16),
        ("local_attn3", "matched", "checkpoint", 32),
        ("full_attn", "warm", "checkpoint", 32),
        ("full_attn", "cold", "checkpoint", 32),
        ("full_attn", "warm", "by_mixer", 32),
        ("full_attn", "cold", "by_mixer", 16),
        ("full_attn", "matched", "by_mixer", 32),
        ("full_attn", "scratch", "checkpoint", 16),
        ("conv3", "pretrained", "checkpoint", 16),
    ],
)
def test_heads_by_start(mixer, init, choice, head_dim):
    config = Config.model_validate(
        {
            "datasets": {"breastmnist": {"size": 28}},
            "model": {"warm_heads": choice},
            "tables": {"t": {"arrangement": "pptt", "init": "pretrained", "mixers": {"full_attn": None}}},
        }
    )
    run = Run("breastmnist", 28, f"s12-pptt-{mixer}", init, 0, ("t",))
    options = resolve_spec(config, run, load_checkpoints()).model_options
    assert options["head_dim"] == head_dim and "warm_heads" not in options


@pytest.mark.parametrize("mixer", ["local_attn3", "full_attn"])
def test_warm_cold_and_matched_are_one_network(mixer):
    config = Config.model_validate(
        {"datasets": {"breastmnist": {"size": 28}}, "model": {"norm": "group"}, "tables": {"t": {}}}
    )
    starts = ("warm", "cold", "matched", "scratch")
    runs = {init: Run("breastmnist", 28, f"s12-pptt-{mixer}", init, 0, ("t",)) for init in starts}
    specs = {init: resolve_spec(config, run, load_checkpoints()) for init, run in runs.items()}
    options = {init: spec.model_options for init, spec in specs.items()}
    assert options["warm"] == options["cold"] == options["matched"]
    assert (options["warm"]["norm"], options["scratch"]["norm"]) == ("channel", "group")
    assert [init for init in starts if specs[init].weights] == ["warm", "cold"]


@pytest.mark.parametrize("field, value", [
    ("dataset", "pathmnist"), ("size", 64), ("model", "xs-tttt-conv5"), ("init", "warm"), ("seed", 1),
])  # fmt: skip
def test_every_other_field_counts(field, value):
    assert SPEC.hash != replace(SPEC, **{field: value}).hash


def test_settings_of_one_data_set_count_for_it():
    own = {"breastmnist": {"size": 28, "training": {"lr": 5e-4}}}
    assert resolved(datasets=own).training["lr"] == 5e-4
    assert resolved(datasets=own).hash == resolved(training={"lr": 5e-4}).hash != resolved().hash


@pytest.mark.parametrize("path", sorted(NEUTRAL))
def test_neutral_values_are_the_defaults_and_hash_like_nothing(path):
    section, field = path.split(".")
    values = getattr(resolved(), section)
    assert values[field] == NEUTRAL[path]
    shorter = {section: {key: value for key, value in values.items() if key != field}}
    assert replace(resolved(), **shorter).hash == resolved().hash


def test_a_field_added_later_changes_no_name_at_its_neutral_value(monkeypatch):
    monkeypatch.setitem(spec_module.NEUTRAL, "training.ema", 0.0)
    assert replace(SPEC, training={**SPEC.training, "ema": 0.0}).hash == SPEC.hash
    assert replace(SPEC, training={**SPEC.training, "ema": 0.9}).hash != SPEC.hash


def test_hashing_leaves_the_spec_as_it_is():
    full = resolved().canonical()
    identifying(full)
    assert full["training"]["compile"] is False and full["model_options"]["small_map_fallback"] is False


def ladder(**rung: Any) -> dict[str, Any]:
    return {"divergence": {"policy": "ladder", "ladder": [rung]}}


def test_remedies_are_changed_training_settings_in_order():
    steps = [
        {"lr_factor": 0.1, "iterations_factor": 2.0},
        {"batch_factor": 0.5, "accumulation": 2, "mark": "#"},
        {"precision": "fp32", "mark": "+"},
    ]
    rungs = resolved(training={"divergence": {"policy": "ladder", "ladder": steps}}).rungs
    assert rungs[0] == {"mark": ""}
    assert rungs[1] == pytest.approx({"lr": 1e-4, "warmup_lr": 1e-6, "min_lr": 1e-6, "iterations": 70000, "mark": "*"})
    assert rungs[2] == {"batch_size": 64, "accumulation": 2, "mark": "#"}
    assert rungs[3] == {"precision": "fp32", "mark": "+"}


def test_a_remedy_can_turn_the_compiler_off():
    compiled = {"compile": True, **ladder(compile=False)}
    assert resolved(training=compiled).rungs[1] == {"compile": False, "mark": "*"}
    assert resolved(training=ladder(compile=False)).rungs[1] == {"mark": "*"}


def test_the_published_remedies_are_the_default():
    rungs = resolved().rungs
    assert [rung["mark"] for rung in rungs] == ["", "*", "#", "+"]
    assert all(rung["iterations"] == 70000 and rung["lr"] == pytest.approx(1e-4) for rung in rungs[1:])
    assert [(rung.get("batch_size"), rung.get("accumulation")) for rung in rungs[1:]] == [
        (None, None),
        (64, 2),
        (32, 4),
    ]


def test_remedies_count_but_neither_their_marks_nor_those_of_another_policy():
    record = resolved(training={"divergence": {"policy": "record"}}).hash
    assert resolved(training=ladder(lr_factor=0.1)).hash != record
    assert resolved(training=ladder(lr_factor=0.1)).hash != resolved(training=ladder(lr_factor=0.2)).hash
    assert resolved(training=ladder(lr_factor=0.1)).hash == resolved(training=ladder(lr_factor=0.1, mark="#")).hash
    unused = {"divergence": {"policy": "record", "ladder": [{"lr_factor": 0.1}]}}
    assert resolved(training=unused).hash == record


def test_a_name_says_its_cell_and_depends_on_spec_data_and_code():
    names = {run_id(SPEC, data, code) for data in ("a", "b") for code in ("a", "b")}
    assert len(names) == 4
    assert {name.rpartition(".")[0] for name in names} == {"breastmnist-28.xs-tttt-conv3.scratch.s0"}


def test_names_stay_what_they_are():
    # finished runs are found by these names: another way to hash would train everything again
    assert run_id(SPEC, "d" * 64, "c" * 64) == "breastmnist-28.xs-tttt-conv3.scratch.s0.7c2117d9"
