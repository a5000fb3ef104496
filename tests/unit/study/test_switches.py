"""What each switch of the protocol is worth: which runs a study trains for that, and which it shares."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenmix.errors import UserError
from tokenmix.study.config import Config
from tokenmix.study.grid import expand
from tokenmix.study.load import load_config
from tokenmix.study.manifest import load_manifest
from tokenmix.study.plan import Plan, freeze, resolve
from tokenmix.study.plan_command import as_json
from tokenmix.study.published import SWITCHES
from tokenmix.study.stale import states

ROOT = Path(__file__).resolve().parents[3]
MODEL = "xs-tttt-local_attn3"
STUDY: dict[str, Any] = {
    "seeds": [0, 1],
    "datasets": {"breastmnist": {"size": 28}, "imagewoof": {"size": 64}},
    "tables": {"t": {"datasets": ["breastmnist"], "scale": "xs", "mixers": {"local_attn": [3], "identity": None}}},
}


def config(dataset: str = "breastmnist", model: str = MODEL, **more: Any) -> Config:
    return Config.model_validate({**STUDY, "switches": [{"dataset": dataset, "model": model}], **more})


def behind(plan: Plan, comparison: int = 0) -> dict[str, list[str]]:
    return plan.content["switches"][comparison]["runs"]


def acting(plan: Plan, comparison: int = 0) -> set[str]:
    """The variants whose runs are not those of the corrected protocol."""
    runs = behind(plan, comparison)
    return {name for name in runs if runs[name] != runs["corrected"]}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return resolve(config(), ROOT)


def test_a_study_without_the_section_trains_nothing_for_it() -> None:
    plain = resolve(Config.model_validate(STUDY), ROOT)
    assert plain.content["switches"] == [] and len(plain.runs) == 4
    assert [switch["name"] for switch in plain.content["protocol"]] == [switch.name for switch in SWITCHES]


def test_a_study_that_names_its_tables_trains_it_where_it_is_one_of_them() -> None:
    assert not config(paper_tables=["t"]).comparisons
    assert resolve(config(paper_tables=["t"]), ROOT).content["switches"] == []
    chosen = config(paper_tables=["t", "switches"])
    assert list(chosen.chosen_tables) == ["t"] and chosen.comparisons


def test_every_switch_is_set_alone_and_all_together(plan: Plan) -> None:
    runs = behind(plan)
    assert list(runs) == ["corrected", *(switch.name for switch in SWITCHES), "as_published"]
    assert all([plan.runs[run].run.seed for run in names] == [0, 1] for names in runs.values())
    lagging = plan.runs[runs["schedule lag"][0]].spec
    assert lagging.training["schedule_lag"] and not lagging.training["drop_last_validation"]
    everything = plan.runs[runs["as_published"][0]].spec
    assert everything.training["schedule_lag"] and everything.model_options["norm"] == "by_arrangement"


def test_what_a_switch_leaves_as_it_is_is_not_trained_again(plan: Plan) -> None:
    # BreastMNIST has a validation split and no padding, the model is no hybrid and starts from scratch
    same = {name for name, runs in behind(plan).items() if runs == behind(plan)["corrected"]}
    assert same == {"corrected", "selection on test", "head dimension", "reused rows", "distorted ImageWoof"}
    assert len(plan.runs) == 4 + 2 * 5


def test_the_corrected_runs_are_those_of_the_tables(plan: Plan) -> None:
    assert {plan.runs[run].run.tables for run in behind(plan)["corrected"]} == {("t", "switches")}
    assert set(resolve(Config.model_validate(STUDY), ROOT).runs) < set(plan.runs)


def test_the_runs_do_not_depend_on_the_protocol_of_the_study(plan: Plan) -> None:
    published = {"protocol": "as_published", "training": {"schedule_lag": True, "drop_last_validation": True}}
    assert behind(resolve(config(**published), ROOT)) == behind(plan)


def test_a_data_sets_own_training_does_not_hide_a_switch() -> None:
    datasets = {"breastmnist": {"size": 28, "training": {"lr": 0.01, "schedule_lag": False}}}
    own = resolve(config(datasets=datasets), ROOT)
    spec = own.runs[behind(own)["schedule lag"][0]].spec
    assert spec.training["schedule_lag"] is True and spec.training["lr"] == 0.01


def test_padding_and_selection_count_for_an_archive_without_validation_split() -> None:
    plan = resolve(config("imagewoof", "resnet18-k3"), ROOT)
    runs = behind(plan)
    same = {name for name, names in runs.items() if names == runs["corrected"]}
    assert same == {"corrected", "norm by arrangement", "head dimension", "global on small maps", "reused rows"}
    square, width = (plan.runs[runs[name][0]].data for name in ("corrected", "distorted ImageWoof"))
    assert plan.content["datasets"]["imagewoof-64"]["hash"] == square.hash
    prepared = plan.content["prepared"]
    assert (prepared[square.folder]["padding"], prepared[width.folder]["padding"]) == ("square", "width")


def test_each_comparison_shows_the_switches_that_act_in_it() -> None:
    tables = {
        "hybrids": {"datasets": ["breastmnist"], "arrangement": "pptt", "mixers": {"pooling": [5]}},
        "pre": {
            "datasets": ["breastmnist"],
            "arrangement": "pptt",
            "init": "pretrained",
            "mixers": {"local_attn": [5]},
        },
        "plain": {"datasets": ["breastmnist"], "mixers": {"pooling": [5]}},
    }
    compared = [
        {"dataset": "breastmnist", "model": "s12-pptt-local_attn5", "init": "warm"},
        {"dataset": "breastmnist", "model": "s12-pptt-pooling5"},
    ]
    without = Config.model_validate({**STUDY, "tables": tables, "switches": []})
    plan = resolve(Config.model_validate({**STUDY, "tables": tables, "switches": compared}), ROOT)
    every = {"dropped last batch", "schedule lag", "as_published"}
    assert acting(plan, 0) == {*every, "head dimension", "global on small maps"}
    assert acting(plan, 1) == {*every, "reused rows"}
    widths = [
        plan.runs[behind(plan, 0)[name][0]].spec.model_options["head_dim"] for name in ("corrected", "head dimension")
    ]
    assert widths == [32, 16]
    # one start of the two, and what tables train as it is is shared with them
    assert {plan.runs[run].run.init for names in behind(plan, 0).values() for run in names} == {"warm"}
    trained = set(resolve(without, ROOT).runs)
    shared = [*behind(plan, 0)["corrected"], *behind(plan, 1)["corrected"], *behind(plan, 1)["reused rows"]]
    assert set(shared) <= trained < set(plan.runs)
    assert {run.partition(".")[2].partition(".")[0] for run in behind(plan, 1)["reused rows"]} == {"s12-tttt-pooling5"}


def test_runs_beside_each_other_are_not_earlier_states_of_one_another(
    tmp_path: Path, finish: Callable[[Plan], None]
) -> None:
    plain = freeze(Config.model_validate(STUDY), tmp_path)
    finish(plain)
    found = {state.run: state.state for state in states(resolve(config(), tmp_path))}
    assert {found[run] for run in plain.runs} == {"exists"}
    assert {state for run, state in found.items() if run not in plain.runs} == {"missing"}


def test_plan_says_what_they_cost(plan: Plan) -> None:
    assert {name: len(runs) for name, runs in as_json(plan, states(plan), [])["tables"].items()} == {
        "t": 4,
        "switches": 12,
    }


@pytest.mark.parametrize(
    ("section", "place", "words"),
    [
        ("[{dataset: brestmnist, model: resnet18-k3}]", "switches.0.dataset", "did you mean `breastmnist`?"),
        ("[{model: resnet18-k3}]", "switches.0.dataset", "missing"),
        ("{dataset: breastmnist, model: resnet18-k3}", "switches", "list"),
        ("[{dataset: breastmnist, model: resnet18-k4}]", "switches.0.model", "resnet18-k3"),
        ("[{dataset: breastmnist}]", "switches.0.model", "missing"),
        ("[{dataset: breastmnist, model: xs-pptt-conv3, init: warm}]", "switches.0.init", "no pretrained weights"),
        (
            "[{dataset: breastmnist, model: s12-pptt-conv3, init: warm}]",
            "switches.0.init",
            "allowed: scratch, pretrained",
        ),
        ("[{dataset: adrenalmnist3d, model: fcvit_tiny}]", "switches.0.model", "three-dimensional"),
        ("[{dataset: adrenalmnist3d, model: resnet18-k3, init: pretrained}]", "switches.0.init", "leave out `init`"),
        (
            "[{dataset: breastmnist, model: resnet18-k3}, {dataset: breastmnist, model: resnet18-k3, seeds: [1]}]",
            "switches.1",
            "twice",
        ),
    ],
)
def test_mistakes_of_the_section_are_told(tmp_path: Path, section: str, place: str, words: str) -> None:
    (tmp_path / "workflow" / "studies").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text(
        "datasets: {breastmnist: {size: 28}, adrenalmnist3d: {size: 28}}\n"
        f"tables: {{t: {{datasets: [breastmnist], baselines: [resnet18-k3]}}}}\nswitches: {section}\n"
    )
    with pytest.raises(UserError, match=rf"config.yaml:3: {place}: ") as caught:
        load_config(tmp_path, "full")
    assert words in str(caught.value)


def test_reused_rows_of_pooling_are_the_runs_of_the_other_table() -> None:
    mixers = {"pooling": [3, 5], "conv": [3]}
    tables = {"four": {"mixers": mixers}, "two": {"arrangement": "pptt", "mixers": mixers}}
    hybrid = {"pre": {"arrangement": "pptt", "init": "pretrained", "mixers": {"pooling": [3]}}}
    study = {"seeds": [0], "datasets": {"breastmnist": {"size": 28}}, "tables": {**tables, **hybrid}}
    reused = Config.model_validate({**study, "pooling_rows": "reused"})
    assert [model for model, _ in reused.rows_of("two")] == [
        "s12-tttt-pooling3", "s12-tttt-pooling5", "s12-pptt-conv3",
    ]  # fmt: skip
    found = {run.model: run.tables for run in expand(reused, load_manifest())}
    assert found["s12-tttt-pooling5"] == ("four", "two") and "s12-pptt-pooling5" not in found
    assert found["s12-pptt-pooling3"] == ("pre",)  # from published weights nothing is reused
    entries = {name: resolve(reused, ROOT).content["tables"][name]["reused"] for name in reused.tables}
    assert entries == {"four": [], "two": ["s12-tttt-pooling3", "s12-tttt-pooling5"], "pre": []}
    own = Config.model_validate(study)
    assert next(model for model, _ in own.rows_of("two")) == "s12-pptt-pooling3"
