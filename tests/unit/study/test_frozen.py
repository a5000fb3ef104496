"""Frozen code: complete, exact, and never the working tree."""

import subprocess
import sys
from pathlib import Path

import pytest

from tokenmix.errors import UserError
from tokenmix.files import read_json
from tokenmix.study.code import code_identity, forget
from tokenmix.study.frozen import freeze_code, read_modules
from tokenmix.study.stages import training_entries


@pytest.fixture
def frozen(source: Path, tmp_path: Path) -> Path:
    """The frozen code of a run of `xs-tttt-conv3`."""
    return freeze_code(code_identity(training_entries("xs-tttt-conv3"), source), source, tmp_path / "results")


def python(frozen: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Python as a training job runs it."""
    environment = {"PYTHONPATH": str(frozen.absolute()), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def test_a_job_runs_the_frozen_code(frozen):
    done = python(frozen, "-c", "import tokenmix.training.__main__ as m; print(m.__file__)")
    assert done.stdout.strip() == str(frozen / "tokenmix/training/__main__.py"), done.stderr


def test_frozen_code_holds_all_that_training_needs(frozen):
    script = "import tokenmix.training.job, tokenmix.models.build as b; "
    script += "print(type(b.build_model('xs-tttt-conv3', channels=1, classes=2, size=28)).__name__)"
    done = python(frozen, "-c", script)
    assert done.stdout.strip() == "MetaFormer", done.stderr


def test_a_module_that_was_not_frozen_fails_to_import(frozen):
    # although the working tree, which has it, is installed in this environment
    done = python(frozen, "-c", "import tokenmix.models.mixers.full_attn")
    assert "No module named 'tokenmix.models.mixers.full_attn'" in done.stderr


def test_only_reachable_files_are_copied_and_byte_for_byte(frozen, source):
    identity = code_identity(training_entries("xs-tttt-conv3"), source)
    files = {path.relative_to(frozen).as_posix() for path in (frozen / "tokenmix").rglob("*.py")}
    assert files == set(identity.files) and "tokenmix/models/mixers/pooling.py" not in files
    assert all((frozen / file).read_bytes() == (source / file).read_bytes() for file in files)
    assert frozen.name == identity.hash[:8]
    assert read_modules(frozen.parents[1], identity.hash) == identity.modules


def refreeze(frozen: Path, source: Path) -> None:
    freeze_code(code_identity(training_entries("xs-tttt-conv3"), source), source, frozen.parents[1])


def test_an_existing_copy_is_left_alone(frozen, source):
    before = {path: path.stat().st_mtime_ns for path in frozen.rglob("*")}
    refreeze(frozen, source)
    assert {path: path.stat().st_mtime_ns for path in frozen.rglob("*")} == before
    assert list(frozen.parent.iterdir()) == [frozen]


def test_compiled_modules_beside_it_do_not_matter(frozen, source):
    (frozen / "tokenmix/__pycache__").mkdir()
    (frozen / "tokenmix/__pycache__/errors.cpython-311.pyc").write_bytes(b"x")
    refreeze(frozen, source)


@pytest.mark.parametrize("edit", ["change", "break", "add", "remove"])
def test_edited_frozen_code_is_refused(frozen, source, edit):
    file = frozen / "tokenmix/training/loss.py"
    if edit == "add":
        file = file.with_name("extra.py")
        file.write_text("")
    elif edit == "remove":
        file.unlink()
    else:
        file.write_text(file.read_text() + ("\nx = 1\n" if edit == "change" else "\n)\n"))
    with pytest.raises(UserError, match=f"frozen code was edited: .*{file.name}; .*delete"):
        refreeze(frozen, source)


def test_a_failed_copy_leaves_nothing_behind(source, tmp_path):
    identity = code_identity(training_entries("xs-tttt-conv3"), source)
    (source / "tokenmix/training/loss.py").unlink()
    with pytest.raises(UserError):
        freeze_code(identity, source, tmp_path / "results")
    assert list((tmp_path / "results/code").iterdir()) == []


def test_results_that_cannot_be_written_are_named(source, tmp_path):
    (tmp_path / "results").write_text("a file in the way")
    with pytest.raises(UserError, match=r"cannot write .*results/code"):
        freeze_code(code_identity(training_entries("xs-tttt-conv3"), source), source, tmp_path / "results")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def origin(source: Path, results: Path) -> dict:
    folder = freeze_code(code_identity(training_entries("xs-tttt-conv3"), source), source, results)
    return read_json(folder / "origin.json")


def test_the_origin_is_the_commit(source, tmp_path):
    git(tmp_path, "init", "-q")
    assert origin(source, tmp_path / "r0") == {"commit": None, "dirty": None, "date": None}
    git(tmp_path, "add", "src")
    git(tmp_path, "commit", "-qm", "all", "--date", "2026-01-02T03:04:05+00:00")
    clean = origin(source, tmp_path / "r1")  # results are not tracked, and do not make it dirty
    assert clean == {
        "commit": git(tmp_path, "rev-parse", "HEAD"),
        "dirty": False,
        "date": git(tmp_path, "log", "-1", "--format=%cI"),
    }
    (source / "tokenmix/cli.py").write_text("changed")
    assert origin(source, tmp_path / "r2") == {**clean, "dirty": True}


def test_code_that_was_frozen_before_it_was_committed_learns_its_commit(source, tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "src")
    git(tmp_path, "commit", "-qm", "first")
    loss = source / "tokenmix/training/loss.py"
    loss.write_text(loss.read_text() + "\nANYTHING = 1\n")
    forget()
    first = git(tmp_path, "rev-parse", "HEAD")
    assert (origin(source, tmp_path / "r")["commit"], origin(source, tmp_path / "r")["dirty"]) == (first, True)
    git(tmp_path, "commit", "-qam", "second")
    second = git(tmp_path, "rev-parse", "HEAD")
    assert (origin(source, tmp_path / "r")["commit"], origin(source, tmp_path / "r")["dirty"]) == (second, False)
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "third")
    assert origin(source, tmp_path / "r")["commit"] == second, "the first commit that has it stays"


def test_code_that_is_not_tracked_makes_the_origin_dirty(source, tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "src")
    git(tmp_path, "rm", "-q", "--cached", "src/tokenmix/models/mixers/conv.py")
    git(tmp_path, "commit", "-qm", "all but one")
    assert origin(source, tmp_path / "results")["dirty"] is True


def test_without_git_the_origin_is_unknown(source, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin(source, tmp_path / "results") == {"commit": None, "dirty": None, "date": None}


def test_a_repository_around_that_does_not_track_the_code_is_not_its_origin(source, tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "something else")
    assert origin(source, tmp_path / "results")["commit"] is None
