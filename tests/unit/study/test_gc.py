"""`tokenmix gc`: what no study refers to goes, everything else stays and says why."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from factories import tree

from tokenmix import cli
from tokenmix.errors import UserError
from tokenmix.files import read_json, write_atomic
from tokenmix.study import code, gc
from tokenmix.study.checkouts import note
from tokenmix.study.gc import remove, survey
from tokenmix.study.load import load_config
from tokenmix.study.plan import Plan, freeze

CONFIG = """
study: full
seeds: [0]
training: {lr: 1.0e-3}
datasets: {phantom_tissue: {size: 28}}
tables: {only: {scale: xs, mixers: {pooling: [3], identity: }}}
"""
HOST = socket.gethostname()
FOREIGN = ("data/downloads/archive.npz", "data/registered/.keep", "data/notes-28.txt", "results/runs/mine/model", "a")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs as `full` plans them now, the same two as it planned them before an edit, and foreign files."""
    monkeypatch.chdir(tmp_path)
    code.forget()
    for rate in ("9.0e-3", "1.0e-3"):
        write_atomic(tmp_path / "config.yaml", CONFIG.replace("1.0e-3", rate))
        finish(freeze(load_config(tmp_path), tmp_path))
    write_atomic(tmp_path / "workflow/studies/other.yaml", "datasets: {phantom_tissue: {size: 56}}\n")
    for name in ("data/phantom_tissue-28.00000000/card.json", "results/code/00000000/tokenmix/x.py", *FOREIGN):
        write_atomic(tmp_path / name, "x" * 1000)
    return tmp_path


def finish(plan: Plan) -> None:
    """What a finished run leaves; published files are links into the store."""
    for run in plan.runs.values():
        store, published = plan.results / "store" / run.id, plan.results / "runs" / run.id
        published.mkdir(parents=True)
        write_atomic(store / "lease.1", '{"released": true}')
        write_atomic(store / "model.safetensors", "m" * 5000)
        (published / "model.safetensors").hardlink_to(store / "model.safetensors")
        write_atomic(published / "run.json", json.dumps({"run": run.id}))
        write_atomic(plan.results / "benchmarks/train" / f"{run.id}.jsonl", "{}")
        write_atomic(plan.results.parent / "data" / run.data.folder / "card.json", "{}")


@pytest.fixture
def runs(project: Path) -> tuple[list[str], list[str]]:
    """The runs that a study refers to, and the others."""
    wanted = sorted(freeze(load_config(project), project).runs)
    present = {path.name for path in (project / "results/runs").iterdir()}
    return wanted, sorted(present - {*wanted, "mine"})


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, str]]:
    """Calls gc; name -> why it is kept."""

    def listed(*arguments: str) -> dict[str, str]:
        assert cli.main(["gc", "--json", *arguments]) == 0
        return {item["name"]: item["kept"] for item in json.loads(capsys.readouterr().out)["items"]}

    return listed


def test_what_no_study_refers_to_is_listed_and_nothing_touched(project, runs, listed, capsys) -> None:
    wanted, idle = runs
    before = tree(project)
    found = listed()
    assert [name for name in idle if found[name]] == [] and [name for name in wanted if not found[name]] == []
    assert found["00000000"] == found["phantom_tissue-28.00000000"] == ""
    assert {found[name] for name in wanted} == {"study full"}
    # a folder of the user's own beside the runs is none
    assert "mine" not in found and len(idle) == 2
    assert cli.main(["gc"]) == 0
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if line.endswith(idle[0])]
    # a model of 5 kB with two names, and a plan file
    assert line.split()[0] == "idle" and 5 < float(line.split()[1]) < 8
    assert "remove it with: tokenmix gc --remove" in shown and "kept     2  study full" in shown
    assert tree(project) == before


def test_folders_that_studies_spell_differently_are_one(project, runs, listed) -> None:
    (project / "link").symlink_to("results")
    (project / "scratch").mkdir()
    (project / "results/code").rename(project / "scratch/code")
    (project / "results/code").symlink_to(project / "scratch/code")
    linked = "results: link\nseeds: [1]\ndata: {folder: data/../data}\n"
    write_atomic(project / "workflow/studies/linked.yaml", linked)
    write_atomic(project / "workflow/studies/dotted.yaml", "results: results/../results\nseeds: [2]\n")
    plans = [freeze(load_config(project, study), project) for study in ("linked", "dotted")]
    for plan in plans:
        finish(plan)
    wanted, idle = runs
    wanted = {*wanted, *(run for plan in plans for run in plan.runs)}
    code = {path.name for path in (project / "scratch/code").iterdir()}
    # the checkout's own notes keep nothing
    for own in project.glob("*/checkouts/*"):
        own.unlink()
    found = listed("--remove")
    assert all(found[name] for name in wanted) and not any(found[name] for name in idle)
    assert {path.name for path in (project / "results/runs").iterdir()} == {*wanted, "mine"}
    kept = {path.name for path in (project / "scratch/code").iterdir()}
    assert kept == code - {"00000000"}
    assert len(list((project / "data").glob("phantom_tissue-28.*"))) == 1


def test_what_may_not_be_read_is_one_message(project, capsys, monkeypatch) -> None:
    def refuse(path: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(gc, "_listed", refuse)
    assert cli.main(["gc"]) == 2
    assert "error: cannot use " in (told := capsys.readouterr().err) and "umask" in told


def test_removal_leaves_exactly_the_rest(project, runs, listed) -> None:
    _, idle = runs
    before = tree(project)
    parts = (*idle, ".00000000/", "/00000000/")
    gone = {name for name in before if any(part in name for part in parts)}
    listed("--remove")
    after = tree(project)
    notes = {name for name in before if "checkouts" in Path(name).parts}  # which name what was removed no longer
    assert after.keys() == before.keys() - gone
    assert all(after[name] == before[name] for name in after.keys() - notes)
    assert {Path(name).parts[1] for name in gone} >= {"runs", "store", "plan", "benchmarks", "code"}
    assert all(listed().values())


def test_a_run_that_a_job_works_at_stays_with_its_code_and_data(project, runs, listed) -> None:
    run = runs[1][0]
    write_atomic(project / "results/store" / run / "lease.2", json.dumps({"host": "node7/x/y", "pid": 1, "start": "1"}))
    plan = project / "results/plan" / f"{run}.json"
    content = read_json(plan)
    content["code"]["folder"], content["data"]["folder"] = "results/code/00000000", "data/phantom_tissue-28.00000000"
    plan.write_text(json.dumps(content))
    found = listed("--remove")
    assert found[run] == "a job on node7 works at it"
    assert found["00000000"] == found["phantom_tissue-28.00000000"] == f"run {run}"
    assert (project / "results/runs" / run / "run.json").exists() and (project / "results/code/00000000").exists()
    # a heart that has not beaten for a day keeps nothing
    os.utime(project / "results/store" / run / "lease.2", (1, 1))
    assert listed()[run] == ""


def test_the_code_that_computed_an_adopted_run_stays(project, runs, listed) -> None:
    entry = {"from": runs[1][0], "code": {"old": "0" * 64, "new": "1" * 64}}
    (project / "results/runs" / runs[0][0] / "run.json").write_text(json.dumps({"adopted": [entry]}))
    assert listed()["00000000"] == f"computed run {runs[0][0]}, which was adopted"


def test_shared_bytes_are_not_counted_as_freed(project, runs, capsys) -> None:
    wanted, idle = runs

    def freed() -> int:
        cli.main(["gc", "--json"])
        return json.loads(capsys.readouterr().out)["bytes"]

    alone = freed()
    # as an adopted run has it
    model = project / "results/store" / idle[0] / "model.safetensors"
    (project / "results/store" / wanted[0] / "other").hardlink_to(model)
    assert freed() == alone - 5000


@pytest.mark.parametrize("text", ["datasets: [", "seeds: [x]\n", "tables: {only: {mixers: {poling: [3]}}}\n"])
def test_a_study_that_cannot_be_read_stops_everything(project, runs, capsys, text) -> None:
    (project / "workflow/studies/other.yaml").write_text(text)
    before = tree(project)
    assert cli.main(["gc", "--remove"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: what the study other refers to is unknown, so nothing is removed: ")
    assert tree(project) == before


def test_runs_of_a_folder_that_is_not_registered_here_stay(project, runs, listed) -> None:
    overlay = "datasets: {my_images: {size: 64}}\ntables: {only: {datasets: [my_images]}}\n"
    (project / "workflow/studies/other.yaml").write_text(overlay)
    run = "my_images-64.xs-tttt-pooling3.scratch.s0.12345678"
    write_atomic(project / "results/runs" / run / "run.json", "{}")
    found = listed()
    assert found[run] == "study other, which needs my_images to be registered here"
    assert found[runs[1][0]] == ""


@pytest.fixture
def neighbour(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another checkout that uses the folders of the first; its study has runs, code and data of its own."""
    root = tmp_path_factory.mktemp("neighbour")
    folders = f"results: {project}/results\ndata: {{folder: {project}/data}}\n"
    config = CONFIG.replace("1.0e-3", "5.0e-3").replace("phantom_tissue: {size: 28}", "phantom_organs: {size: 56}")
    write_atomic(root / "config.yaml", config.replace("identity: ", "conv: [3]") + folders)
    finish(freeze(load_config(root), root))
    return root


def test_what_another_checkout_planned_stays(project, neighbour, listed) -> None:
    before, runs = tree(neighbour), freeze(load_config(neighbour), neighbour).runs
    found = listed("--remove")
    why = f"study full of the checkout {neighbour} on {HOST}, noted in {project}/results/checkouts/"
    assert all(found[run].startswith(why) for run in runs)
    for run in runs.values():
        assert (project / "results/runs" / run.id / "run.json").exists()
        assert (project / "results/code" / run.code.hash[:8]).exists()
        assert (project / "data" / run.data.folder / "card.json").exists()
        assert found[run.data.folder]
    assert tree(neighbour) == before
    # seen from the other side as well
    os.chdir(neighbour)
    others = {why.partition(", noted in ")[0] for why in listed("--remove").values()}
    assert others == {"study full", f"study full of the checkout {project} on {HOST}"}


def test_what_another_checkout_planned_before_an_edit_stays_until_it_removes_it_itself(
    project, neighbour, listed, monkeypatch
) -> None:
    waiting = set(freeze(load_config(neighbour), neighbour).runs)
    config = neighbour / "config.yaml"
    config.write_text(config.read_text().replace("5.0e-3", "6.0e-3"))
    now = set(freeze(load_config(neighbour), neighbour).runs)
    assert not waiting & now
    found = listed("--remove")
    assert all(found[run] for run in waiting | now)
    monkeypatch.chdir(neighbour)
    assert listed("--remove").keys() >= waiting and not listed().keys() & waiting
    monkeypatch.chdir(project)
    assert not any(name in note.read_text() for note in (project / "results/checkouts").iterdir() for name in waiting)


def test_what_somebody_plans_while_gc_looks_is_not_removed(project, runs, neighbour) -> None:
    idle = [item for item in survey(project) if not item.kept]
    note(project / "results", neighbour, "full", [runs[1][0]])
    before = tree(project)
    with pytest.raises(UserError, match=f"{runs[1][0]} is needed by now"):
        remove(project, idle)
    assert tree(project) == before


def test_data_that_a_checkout_with_other_results_planned_stays(project, neighbour, listed) -> None:
    config = neighbour / "config.yaml"
    config.write_text(config.read_text().replace(f"{project}/results", "results"))
    shutil.rmtree(project / "results")
    (run, *_) = freeze(load_config(neighbour), neighbour).runs.values()
    freeze(load_config(project), project)
    why = f"study full of the checkout {neighbour} on {HOST}, noted in {project}/data/checkouts/"
    assert listed("--remove")[run.data.folder].startswith(why)
    assert (project / "data" / run.data.folder / "card.json").exists()


def test_a_checkout_that_cannot_be_seen_keeps_its_runs_until_its_note_is_deleted(project, neighbour, listed) -> None:
    runs = freeze(load_config(neighbour), neighbour).runs
    shutil.rmtree(neighbour)
    found = listed()
    for path in {Path(found[run].partition(", noted in ")[2]) for run in runs}:
        path.unlink()
    assert not any(listed()[run] for run in runs)


def test_a_copy_of_a_checkout_is_another_one_and_make_clean_makes_none(project, runs, tmp_path_factory, listed) -> None:
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(project / ".snakemake", copy / ".snakemake")
    note(project / "results", copy, "full", [runs[1][0]])
    assert str(copy) in listed()[runs[1][0]]
    shutil.rmtree(project / ".snakemake")
    assert not listed()[runs[1][1]]


@pytest.mark.parametrize("damage", ["cut off", "something else"])
def test_a_note_that_cannot_be_read_stops_everything(project, neighbour, capsys, damage) -> None:
    for path in (project / "data/checkouts").iterdir():
        path.write_text("{" if damage == "cut off" else '{"names": 3}')
    before = tree(project)
    assert cli.main(["gc", "--remove"]) == 2
    assert "what another checkout needs is unknown" in capsys.readouterr().err
    assert tree(project) == before


def test_nothing_is_removed_beneath_a_workflow(project, capsys) -> None:
    write_atomic(project / ".snakemake/locks/0.input.lock", "")
    before = tree(project)
    assert cli.main(["gc", "--remove"]) == 2
    assert "a workflow is at work" in capsys.readouterr().err
    assert tree(project) == before


def test_a_folder_of_images_inside_a_prepared_name_is_never_removed(project, listed) -> None:
    images = project / "data/phantom_tissue-28.00000000/images"
    images.mkdir()
    entry = "kind: folder\ntitle: x\ntask: binary\nclasses: [a, b]\nchannels: 1\nsplits: {train: 1, val: 1, test: 1}\n"
    write_atomic(project / "data/registered/mine.yaml", f"{entry}path: {images}\nsha256: '{'0' * 64}'\n")
    listed("--remove")
    assert images.is_dir()
