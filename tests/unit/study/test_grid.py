"""From tables to runs."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmix.errors import UserError
from tokenmix.study.config import Config
from tokenmix.study.grid import expand
from tokenmix.study.manifest import load_manifest
from tokenmix.study.plan import resolve

ROOT = Path(__file__).parents[3]
MANIFEST = load_manifest()


def study(**tables) -> Config:
    datasets = {"breastmnist": {"size": 28}, "pathmnist": {"size": 64}}
    return Config.model_validate({"seeds": [0, 1], "datasets": datasets, "tables": tables})


def test_every_cell_of_a_table_is_a_run_for_each_seed():
    runs = expand(study(t={"scale": "xs", "mixers": {"conv": [3, 5], "identity": None}}), MANIFEST)
    assert [run.cell for run in runs] == [
        f"{dataset}.xs-tttt-{mixer}.scratch.s{seed}"
        for dataset in ("breastmnist-28", "pathmnist-64")
        for mixer in ("conv3", "conv5", "identity")
        for seed in (0, 1)
    ]


def test_a_run_that_two_tables_want_is_there_once_with_both():
    runs = expand(
        study(
            one={"datasets": ["breastmnist"], "mixers": {"identity": None}, "baselines": ["resnet18-k3"]},
            two={"datasets": ["breastmnist"], "mixers": {"identity": None, "random": None}},
        ),
        MANIFEST,
    )
    tables = {run.model: run.tables for run in runs if run.seed == 0}
    assert tables == {
        "s12-tttt-identity": ("one", "two"),
        "resnet18-k3": ("one",),
        "s12-tttt-random": ("two",),
    }


MIXERS = st.dictionaries(
    st.sampled_from(["pooling", "conv", "local_attn"]),
    st.lists(st.sampled_from([3, 5, 7]), min_size=1, unique=True),
)


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.sampled_from("abc"), st.fixed_dictionaries({"mixers": MIXERS, "scale": st.just("xs")})))
def test_runs_are_the_union_of_the_tables_cells(tables):
    config = study(**tables)
    runs = expand(config, MANIFEST)
    wanted = {
        (table, dataset, model, seed)
        for table, settings_ in config.tables.items()
        for dataset in config.datasets
        for model in settings_.models()
        for seed in config.seeds
    }
    assert {(table, run.dataset, run.model, run.seed) for run in runs for table in run.tables} == wanted
    assert len({run.cell for run in runs}) == len(runs)


def test_a_data_set_that_is_not_there_is_named_with_its_neighbour():
    with pytest.raises(UserError, match=r"`brestmnist`; did you mean `breastmnist`.*tables\.t"):
        expand(study(t={"datasets": ["brestmnist"], "mixers": {"identity": None}}), MANIFEST)


def test_pretrained_tables_show_attention_warm_and_cold():
    table = {"arrangement": "pptt", "init": "pretrained", "datasets": ["breastmnist"], "baselines": ["resnet18-k3"]}
    table["mixers"] = {"conv": [3], "local_attn": [3, 5], "identity": None}
    config = study(t=table)
    assert config.tables["t"].rows() == [
        ("s12-pptt-conv3", "pretrained"),
        ("s12-pptt-local_attn3", "warm"),
        ("s12-pptt-local_attn5", "warm"),
        ("s12-pptt-local_attn3", "cold"),
        ("s12-pptt-local_attn5", "cold"),
        ("s12-pptt-identity", "pretrained"),
        ("resnet18-k3", "pretrained"),
    ]
    runs = expand(config, MANIFEST)
    assert len(runs) == 14 and runs[2].cell == "breastmnist-28.s12-pptt-local_attn3.warm.s0"


@pytest.mark.parametrize(
    ("options", "matched"),
    [
        ({}, {"s12-pptt-local_attn3", "s12-pptt-full_attn", "s12-tttt-pooling3"}),
        ({"head_dim": 32}, {"s12-tttt-pooling3"}),
        ({"norm": "by_arrangement"}, {"s12-pptt-local_attn3", "s12-pptt-full_attn"}),
        ({"norm": "group"}, {"s12-pptt-local_attn3", "s12-pptt-full_attn", "s12-pptt-conv3"}),
        ({"warm_heads": "by_mixer"}, {"s12-pptt-full_attn", "s12-tttt-pooling3"}),
    ],
)
def test_a_matched_table_trains_only_what_differs_from_scratch(options, matched):
    mixers = {"conv": [3], "local_attn": [3], "full_attn": None}
    table = {"arrangement": "pptt", "mixers": mixers, "baselines": ["s12-tttt-pooling3", "resnet18-k3"]}
    config = study(plain=table, like={**table, "init": "matched"})
    config = config.model_copy(update={"model": config.model.model_copy(update=options)})
    rows = config.rows_of("like")
    assert [model for model, _ in rows] == config.tables["like"].models()
    assert {model for model, init in rows if init == "matched"} == matched
    assert {init for _, init in rows} <= {"matched", "scratch"}
    plain = [run for run in expand(config, MANIFEST) if run.tables == ("plain", "like")]
    assert {run.model for run in plain} == set(config.tables["like"].models()) - matched
    # no row is said to show the runs of another model
    assert resolve(config, ROOT).content["tables"]["like"]["reused"] == []


def test_a_table_has_its_own_seeds_and_settings():
    one = {"mixers": {"identity": None}, "datasets": ["breastmnist"]}
    config = study(one=one, two={**one, "scale": "xs", "seeds": [7], "training": {"lr": 0.01}})
    assert [(run.model, run.seed) for run in expand(config, MANIFEST)] == [
        *[("s12-tttt-identity", seed) for seed in (0, 1)], ("xs-tttt-identity", 7),
    ]  # fmt: skip
    assert config.training_for("breastmnist", "two").lr == 0.01 and config.training_for("breastmnist", "one").lr == 1e-3


@pytest.mark.parametrize("own", [{"seeds": [0]}, {"training": {"lr": 0.01}}])
def test_two_tables_cannot_want_one_cell_trained_in_two_ways(own):
    one = {"mixers": {"identity": None}, "datasets": ["breastmnist"]}
    with pytest.raises(UserError, match=r"tables\.one and tables\.two both show s12-tttt-identity \(scratch\) on"):
        expand(study(one=one, two={**one, **own}), MANIFEST)


def test_only_the_chosen_tables_are_made_in_their_order():
    config = study(a={"mixers": {"identity": None}}, b={"mixers": {"random": None}}, c={"mixers": {"conv": [3]}})
    config = config.model_copy(update={"paper_tables": ["c", "a"]})
    assert list(config.chosen_tables) == ["c", "a"]
    assert {run.model for run in expand(config, MANIFEST)} == {"s12-tttt-conv3", "s12-tttt-identity"}
