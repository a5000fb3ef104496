"""`tokenmix adopt`: what an edit leaves alone is kept, what it changes is refused."""

import functools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file
from training_runs import make_data

from tokenmix import cli
from tokenmix.files import read_json, sha256_file
from tokenmix.study import code
from tokenmix.study.load import load_config
from tokenmix.study.plan import Plan, freeze
from tokenmix.study.stale import states
from tokenmix.training import adopt_command
from tokenmix.training.store import OUTPUTS, Store

PACKAGE = Path(code.__file__).parents[1]
CONFIG = """
study: full
seeds: [0]
training: {iterations: 28, batch_size: 16, warmup_epochs: 1, precision: fp32, affine_std: 0.1}
datasets: {phantom_tissue: {size: 28}}
tables: {only: {scale: xs, mixers: {pooling: [3]}}}
"""
#: a run that starts from published weights
PRETRAINED = """
study: full
seeds: [0]
training: {iterations: 6, batch_size: 16, warmup_epochs: 1, precision: fp32}
datasets: {phantom_tissue: {size: 28}}
tables: {only: {init: pretrained, baselines: [resnet18-k3]}}
"""


@pytest.fixture(scope="module")
def finished(driver, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A project with a copy of the package in which the only run of the study is finished."""
    root = tmp_path_factory.mktemp("finished")
    (root / "config.yaml").write_text(getattr(request, "param", CONFIG))
    shutil.copytree(PACKAGE, root / "src" / "tokenmix", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    code.forget()
    plan = freeze(load_config(root), root, root / "src")
    (run,) = plan.runs.values()
    data = make_data(root / "data" / run.data.folder)
    card = read_json(data / "card.json")
    (data / "card.json").write_text(json.dumps({**card, "hash": run.data.hash}))
    if run.spec.weights:
        make_weights(root / "data" / "weights", run.spec.weights["name"])
    codes, log = driver(plan.results / "plan" / f"{run.id}.json")
    assert codes == [0], log
    return root


def make_weights(folder: Path, name: str) -> None:
    """Weights of chance in the place of the published ones, as `tokenmix data weights` leaves them."""
    folder.mkdir()
    file = folder / f"{name}.safetensors"
    save_file(timm.create_model(name).state_dict(), file)
    card = {"name": name, "sha256": "5" * 64, "converted_sha256": sha256_file(file)}
    file.with_suffix(".json").write_text(json.dumps(card))


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of that project to edit; `tokenmix adopt` sees its copy of the package as the working tree."""
    root = tmp_path / "project"
    shutil.copytree(finished, root)
    monkeypatch.chdir(root)
    monkeypatch.setattr(adopt_command, "freeze", functools.partial(freeze, source=root / "src"))
    yield root
    code.forget()


@pytest.fixture
def edit(project: Path) -> Callable[..., Plan]:
    """Replace a text of a module; returns the study as it is planned then."""

    def edit(module: str, old: str, new: str) -> Plan:
        path = project / "src" / "tokenmix" / module
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))
        code.forget()
        return freeze(load_config(project), project, project / "src")

    return edit


def the_run(plan: Plan) -> str:
    (run,) = plan.runs
    return run


def test_an_edited_log_line_keeps_the_run_and_says_so(project, edit, capsys) -> None:
    (before,) = (path.name for path in (project / "results" / "runs").iterdir())
    plan = edit("training/progress.py", "iterations, {training.iteration} of them done", "iterations to go")
    run = the_run(plan)
    assert run != before
    assert cli.main(["adopt", run]) == 0
    assert f"adopted: {run} from {before}" in capsys.readouterr().out
    folder = project / "results" / "runs"
    old, new = read_json(folder / before / "run.json"), read_json(folder / run / "run.json")
    for name in OUTPUTS[:-1]:
        assert (folder / run / name).samefile(folder / before / name)
    # the plan and the workflow take it for any other run
    assert [state.state for state in states(plan)] == ["exists"]
    assert Store(plan.results, run).is_finished()
    assert new["run"] == run and new["hashes"] == read_json(plan.results / "plan" / f"{run}.json")["hashes"]
    # who computed it stays on record
    assert {key: new[key] for key in ("git", "execution", "libraries", "outputs")} == {
        key: old[key] for key in ("git", "execution", "libraries", "outputs")
    }
    (entry,) = new["adopted"]
    assert (entry["from"], entry["steps"], entry["libraries"]) == (before, 20, old["libraries"])
    assert entry["code"] == {"old": old["hashes"]["code"], "new": plan.runs[run].code.hash}
    assert cli.main(["adopt", run]) == 2
    assert "is finished itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "old", "new", "seen"),
    [
        ("training/optimiser.py", "EPSILON = 1e-8", "EPSILON = 1e-7", "first steps"),
        # acts when the run has ended, far from the first steps
        ("training/ladder.py", "training.model.load_state_dict(best.weights)\n", "pass\n", "miniature"),
    ],
    ids=["optimiser", "last weights in place of the best"],
)
def test_an_edit_that_changes_results_is_refused(project, edit, capsys, module, old, new, seen) -> None:
    run = the_run(edit(module, old, new))
    assert cli.main(["adopt", run]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"error: {run} is not adopted") and "the edit changes results" in message
    assert seen in message
    assert not (project / "results" / "runs" / run).exists() and not (project / "results" / "store" / run).exists()


@pytest.mark.parametrize("finished", [PRETRAINED], indirect=True, ids=["pretrained"])
def test_a_run_from_published_weights_is_adopted_or_refused_like_any_other(project, edit, capsys) -> None:
    (before,) = (path.name for path in (project / "results" / "runs").iterdir())
    changed = the_run(edit("models/weights_start.py", "value.sum(1, keepdim=True)", "value.mean(1, keepdim=True)"))
    assert cli.main(["adopt", changed, "--steps", "2"]) == 2
    assert "the edit changes results" in capsys.readouterr().err.splitlines()[-1]
    same = the_run(edit("models/weights_start.py", "value.mean(1, keepdim=True)", "value.sum(dim=1, keepdim=True)"))
    assert len({before, changed, same}) == 3
    assert cli.main(["adopt", same, "--steps", "2"]) == 0
    assert f"adopted: {same} from {before}" in capsys.readouterr().out


def test_other_libraries_than_the_finished_runs_are_refused(project, edit, capsys) -> None:
    (file,) = (project / "results" / "runs").glob("*/run.json")
    attested = read_json(file)
    file.write_text(json.dumps({**attested, "libraries": {**attested["libraries"], "numpy": "1.0"}}))
    run = the_run(edit("training/progress.py", "of them done", "of them are done"))
    assert cli.main(["adopt"]) == 2
    assert "was trained with other libraries (numpy 1.0 -> " in capsys.readouterr().err
    assert not (project / "results" / "runs" / run).exists()


def test_what_cannot_be_adopted_is_one_message(project, edit, capsys) -> None:
    def message(*arguments: str) -> str:
        assert cli.main(["adopt", *arguments]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    (folder,) = (project / "results" / "runs").iterdir()
    assert "is finished itself; there is nothing to adopt" in message(folder.name)
    run = the_run(edit("training/progress.py", "of them done", "of them are done"))
    assert f"has no run x{run}; did you mean" in message(f"x{run}")
    assert "give at least 1" in message(run, "--steps", "0")
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content[:-1] + b"x")
    assert "is not the file that its run.json attests" in message(run)
    weights.write_bytes(content)
    shutil.rmtree(project / "results" / "code" / read_json(folder / "run.json")["hashes"]["code"][:8])
    assert "is gone, so that nothing can be proven" in message(run)
    # other settings make another run, which only training can make
    (project / "config.yaml").write_text(CONFIG.replace("28,", "27,"))
    other = the_run(edit("training/progress.py", "of them are done", "of them done"))
    assert "no run of the same settings and data" in message(other)
    assert cli.main(["adopt"]) == 0
    assert "nothing to adopt" in capsys.readouterr().out


def test_the_help_says_what_the_proof_covers(capsys) -> None:
    with pytest.raises(SystemExit):
        cli.main(["adopt", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "an edit that acts only later in a run it cannot see" in words
