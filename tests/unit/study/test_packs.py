"""Packs hold every unfinished run once, and finished runs stay where they were trained."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tokenmix.study.packs import arrange, finished_runs, freeze_packs, pack_file, receipt

entries = st.fixed_dictionaries(
    {
        "data_folder": st.sampled_from(["data/a", "data/b"]),
        "threads": st.sampled_from([1, 2]),
        "model": st.sampled_from(["xs-tttt-pooling3", "s12-tttt-conv7", "resnet18-k3"]),
        "size": st.sampled_from([28, 224]),
        "dimensions": st.sampled_from((2, 3)),
        "iterations": st.integers(1, 50_000),
        "batch_size": st.just(128),
        "accumulation": st.just(1),
    }
)


@given(st.lists(entries, max_size=40), st.floats(0.1, 1000), st.integers(1, 16), st.booleans())
def test_every_run_is_in_one_pack_with_its_like(runs, minutes, workers, gpu):
    runs = {f"run{number}": entry for number, entry in enumerate(runs)}
    packs = arrange(runs, minutes, workers, gpu=gpu)
    assert sorted(run for pack in packs for run in pack) == sorted(runs)
    for pack in packs:
        assert pack and len({(runs[run]["data_folder"], runs[run]["threads"]) for run in pack}) == 1


def entry(**changes):
    return {
        "data_folder": "data/a", "threads": 1, "model": "xs-tttt-pooling3", "size": 28, "dimensions": 2,
        "iterations": 300, "batch_size": 64, "accumulation": 1, **changes,
    }  # fmt: skip


def test_short_runs_share_a_job_and_long_ones_do_not():
    short = {f"r{n}": entry() for n in range(12)}
    assert len(arrange(short, 60, 1, gpu=False)) == 1
    long = {f"r{n}": entry(model="s12-tttt-conv7", size=224, iterations=35_000, batch_size=128) for n in range(12)}
    assert len(arrange(long, 10, 1, gpu=True)) == 12


def test_all_workers_of_a_machine_have_something_to_do():
    packs = arrange({f"r{n}": entry() for n in range(16)}, 60, 4, gpu=False)
    assert len(packs) == 8 and {len(pack) for pack in packs} == {2}


def index(*runs):
    return {
        "study": "s",
        "results": "results",
        "runs": {run: entry() for run in runs},
        "execution": {"pack_minutes": 60, "runs_at_once": "auto", "needs_gpu": False},
        "packer": "results/code/x",
    }


def finish(results, run, pack):
    """What a job leaves of a run that it trained."""
    folder = results / "store" / run
    folder.mkdir(parents=True)
    (folder / "finished.json").write_text("{}")
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
    folder = tmp_path / "results/store/a"
    folder.mkdir(parents=True)
    (folder / "finished.json").write_text("{}")
    assert finished_runs(tmp_path / "results", ["a", "b"]) == {"a": None}
    assert json.loads(freeze_packs(index("a"), tmp_path, 1).read_text()) == {}
