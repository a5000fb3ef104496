"""Packs hold every unfinished run once, and finished runs stay where they were trained."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmix.files import sha256_file
from tokenmix.study import packs
from tokenmix.study.packs import arrange, finished_runs, freeze_packs, pack_file, receipt
from tokenmix.training.store import OUTPUTS

entries = st.fixed_dictionaries(
    {
        "data_folder": st.sampled_from(["data/a", "data/b"]),
        "threads": st.sampled_from([1, 2]),
        "model": st.sampled_from(["xs-tttt-pooling3", "s12-tttt-conv7", "resnet18-k3"]),
        "size": st.sampled_from([28, 224]),
        "dimensions": st.sampled_from((2, 3)),
        "channels": st.sampled_from((1, 3)),
        "iterations": st.integers(1, 50_000),
        "batch_size": st.just(128),
        "accumulation": st.just(1),
    }
)


@given(st.lists(entries, max_size=40), st.floats(0.1, 1000), st.integers(1, 16), st.booleans())
def test_every_run_is_in_one_pack_with_its_like(runs, minutes, workers, gpu):
    runs = {f"run{number}": entry for number, entry in enumerate(runs)}
    arranged = arrange(runs, minutes, workers, gpu=gpu)
    assert sorted(run for pack in arranged for run in pack) == sorted(runs)
    for pack in arranged:
        assert pack and len({(runs[run]["data_folder"], runs[run]["threads"]) for run in pack}) == 1


def entry(**changes):
    return {
        "data_folder": "data/a", "threads": 1, "model": "xs-tttt-pooling3", "size": 28, "dimensions": 2, "channels": 1,
        "iterations": 300, "batch_size": 64, "accumulation": 1, **changes,
    }  # fmt: skip


def test_short_runs_share_a_job_and_long_ones_do_not():
    short = {f"r{n}": entry() for n in range(12)}
    assert len(arrange(short, 60, 1, gpu=False)) == 1
    long = {f"r{n}": entry(model="s12-tttt-conv7", size=224, iterations=35_000, batch_size=128) for n in range(12)}
    assert len(arrange(long, 10, 1, gpu=True)) == 12


def test_packs_of_costly_models_hold_fewer_runs():
    settings = {"size": 224, "iterations": 1000, "batch_size": 128}
    pooled, convolved = (
        arrange({f"r{n}": entry(model=f"s12-tttt-{mixer}", **settings) for n in range(24)}, 20, 1, gpu=True)
        for mixer in ("pooling3", "conv7")
    )
    # 1.8 G and 11.5 G multiply-adds an image: one minute a run, and seven
    assert {len(pack) for pack in pooled} == {12} and {len(pack) for pack in convolved} <= {2, 3}


def test_all_workers_of_a_machine_have_something_to_do():
    arranged = arrange({f"r{n}": entry() for n in range(16)}, 60, 4, gpu=False)
    assert len(arranged) == 8 and {len(pack) for pack in arranged} == {2}


def test_two_like_data_sets_give_two_workers_as_much_to_do():
    # colour costs a little more than grey
    runs = {f"{n}-{c}": entry(data_folder=f"data/{c}", channels=c) for n in range(8) for c in (1, 3)}
    assert [len(pack) for pack in arrange(runs, 60, 2, gpu=False)] == [4] * 4


def index(*runs):
    return {
        "study": "s",
        "results": "results",
        "runs": {run: entry() for run in runs},
        "execution": {"pack_minutes": 60, "runs_at_once": "auto", "needs_gpu": False},
        "packer": "results/code/x",
    }


def store(results, run):
    """What a training leaves of a run; returns its folder."""
    folder = results / "store" / run
    folder.mkdir(parents=True)
    for name in OUTPUTS:
        (folder / name).write_text(f"{name} of {run}")
    (folder / "finished.json").write_text(json.dumps({name: sha256_file(folder / name) for name in OUTPUTS}))
    return folder


def finish(results, run, pack):
    """What a job leaves of a run that it trained."""
    folder = store(results, run)
    (folder / "packed.json").write_text(json.dumps({"pack": pack}))
    receipt(results, pack).parent.mkdir(exist_ok=True)
    receipt(results, pack).write_text("{}")


def test_a_finished_run_keeps_its_pack_and_a_new_one_gets_its_own(tmp_path):
    results = tmp_path / "results"
    first = json.loads(freeze_packs(index("a", "b"), tmp_path, 1).read_text())
    assert first["a"] == first["b"]
    finish(results, "a", first["a"])
    second = json.loads(freeze_packs(index("a", "b", "c"), tmp_path, 1).read_text())
    assert second["a"] == first["a"]
    assert json.loads(pack_file(results, second["b"]).read_text())["runs"] == ["b", "c"]


def test_a_pack_whose_runs_failed_is_tried_again(tmp_path):
    results = tmp_path / "results"
    pack = json.loads(freeze_packs(index("a"), tmp_path, 1).read_text())["a"]
    receipt(results, pack).parent.mkdir()
    receipt(results, pack).write_text("{}")
    assert json.loads(freeze_packs(index("a"), tmp_path, 1).read_text())["a"] == pack
    assert not receipt(results, pack).exists()


def test_a_run_finished_without_a_pack_needs_none(tmp_path):
    store(tmp_path / "results", "a")
    assert finished_runs(tmp_path / "results", ["a", "b"]) == {"a": None}
    assert json.loads(freeze_packs(index("a"), tmp_path, 1).read_text()) == {}


@pytest.mark.parametrize("name", [*OUTPUTS, "finished.json"])
@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_run_that_was_damaged_before_it_was_published_is_trained_again(tmp_path, name, damage):
    results = tmp_path / "results"
    first = json.loads(freeze_packs(index("a", "b"), tmp_path, 1).read_text())
    for run in ("a", "b"):
        finish(results, run, first[run])
    file = results / "store/a" / name
    file.write_text("x") if damage == "changed" else file.unlink()
    again = json.loads(freeze_packs(index("a", "b"), tmp_path, 1).read_text())
    assert again["b"] == first["b"] and json.loads(pack_file(results, again["a"]).read_text())["runs"] == ["a"]
    assert not receipt(results, again["a"]).exists(), "its training should be planned"


def test_published_runs_are_not_read_again(tmp_path, monkeypatch):
    results = tmp_path / "results"
    shutil.copytree(store(results, "a"), results / "runs/a", ignore=shutil.ignore_patterns("finished.json"))
    monkeypatch.setattr(packs, "sha256_file", lambda path: pytest.fail(f"{path} is read"))
    assert finished_runs(results, ["a"]) == {"a": None}
