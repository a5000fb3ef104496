"""`tokenmix diff` against folders, files and revisions."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_studies import make_study

from tokenmix.cli import main
from tokenmix.reporting import values
from tokenmix.reporting.inputs import Study

BEST = "auc/breastmnist-28/xs-tttt-pooling3/scratch"
OTHER = "f1/breastmnist-28/xs-tttt-conv3/scratch"
VALUES = "results/fake/paper/values.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with its values, paths relative to its folder."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        study = Study.open(make_study(Path()))
        values.write(study, study.paper)
    (folder / "config.yaml").write_text("study: fake\n")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def diff(project: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """What `tokenmix diff` prints."""

    def diff(other: str) -> str:
        assert main(["diff", other, "--study", "fake"]) == 0
        return capsys.readouterr().out

    return diff


def change(file: Path, changed: dict[str, object]) -> None:
    """Set values by key, and their texts."""
    content = json.loads(file.read_text())
    for key, value in changed.items():
        entry = content[key]
        entry["value"], entry["text"] = value, f"{value:.3f}" if isinstance(value, float) else str(value)
    file.write_text(json.dumps(content))


def read(file: str, key: str) -> float:
    return json.loads(Path(file).read_text())[key]["value"]


def test_nothing_moved_against_itself(diff) -> None:
    text = diff("results")
    assert "0 values moved, 0 of them by more than half of their interval" in text and "| value |" not in text


def test_moves_are_sorted_by_their_intervals(project, diff) -> None:
    shutil.copytree("results", "old")
    old = Path("old/fake/paper/values.json")
    # intervals of the made study are 0.05 wide
    best, other = read(VALUES, BEST), read(VALUES, OTHER)
    change(old, {BEST: best - 0.01, OTHER: other + 0.05, "study/devices": "one | two", "study/seeds": 2})
    for place in ("old", "old/fake", "old/fake/paper", str(old)):
        text = diff(place)
        rows = re.findall(r"^\| `(\S+)` \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|$", text, re.M)
        assert rows == [
            (OTHER, f"{other + 0.05:.3f}", f"{other:.3f}", "−0.05", "**2.00**"),
            (BEST, f"{best - 0.01:.3f}", f"{best:.3f}", "+0.01", "0.40"),
        ]
        assert "4 values moved, 1 of them by more than half of their interval" in text
        assert re.search(r"^\| `study/devices` \| one \\\| two \| CPU: AMD", text, re.M)


def test_ends_of_intervals_are_not_listed_and_new_and_gone_values_are(project, diff) -> None:
    old = Path("old.json")
    content = json.loads(Path(VALUES).read_text())
    content[f"{BEST}/low"]["value"] -= 0.02
    content["auc/gone-28/x/scratch"] = content.pop("study/runs")
    old.write_text(json.dumps(content))
    text = diff("old.json")
    assert "0 values moved" in text and "1 new, 1 gone" in text
    assert "New:\n\n- `study/runs`" in text and "Gone:\n\n- `auc/gone-28/x/scratch`" in text


def test_flipped_claims_come_first(project, diff) -> None:
    shutil.copytree("results", "old")
    claims = {"pooling": {"verdict": "holds"}, "cls": {"verdict": "fails"}}
    Path("results/fake/paper/claims.json").write_text(json.dumps(claims))
    Path("old/fake/paper/claims.json").write_text(json.dumps({**claims, "pooling": {"verdict": "fails"}}))
    text = diff("old")
    assert "1 claims flipped" in text and "| `pooling` | fails | **holds** |" in text and "`cls`" not in text


def test_many_rows_are_folded(project, diff) -> None:
    content = json.loads(Path(VALUES).read_text())
    for key in [key for key in content if key.startswith("auc/") and f"{key}/low" in content]:
        content[key]["value"] += 0.1
    for key in [key for key in content if key.startswith("f1/") and f"{key}/low" in content]:
        content[key]["value"] += 0.01
    for key in [key for key in content if key.startswith("accuracy/") and f"{key}/low" in content]:
        content[key]["value"] += 0.01
    Path("old.json").write_text(json.dumps(content))
    text = diff("old.json")
    assert "48 values moved, 16 of them" in text and "<details><summary>18 more</summary>" in text


def git(*arguments: str) -> None:
    identity = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *arguments], check=True, capture_output=True, env={**os.environ, **identity})


def test_a_revision_is_read_where_it_has_results(project, diff, capsys) -> None:
    git("init", "-q")
    git("add", "config.yaml")
    git("commit", "-qm", "without results")
    git("add", "-f", VALUES)
    git("commit", "-qm", "with results")
    best = read(VALUES, BEST)
    change(Path(VALUES), {BEST: best + 0.1})
    text = diff("HEAD")
    assert "1 values moved" in text and f"| `{BEST}` | {best:.3f} | {best + 0.1:.3f} | +0.1 | **4.00** |" in text
    for revision, message in (
        ("HEAD~1", f"is a revision without results: it holds no {VALUES}"),
        ("v9", "v9 is neither a folder nor a revision"),
    ):
        assert main(["diff", revision, "--study", "fake"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error


def test_results_outside_the_repository_have_no_revisions(project, tmp_path, capsys) -> None:
    shutil.move("results", tmp_path / "shared")
    (index,) = (tmp_path / "shared/plan").glob("*.json")
    index.write_text(json.dumps({**json.loads(index.read_text()), "results": str(tmp_path / "shared")}))
    Path("config.yaml").write_text(f"study: fake\nresults: {tmp_path}/shared\n")
    git("init", "-q")
    git("add", "config.yaml")
    git("commit", "-qm", "x")
    assert main(["diff", "HEAD"]) == 2
    error = capsys.readouterr().err
    assert "shared/fake/paper/values.json lies outside the repository" in error and "keep a copy" in error
    assert "git add" not in error
    # an absolute folder inside has revisions like any other
    shutil.move(tmp_path / "shared", "results")
    index = project / "results/plan" / index.name
    index.write_text(json.dumps({**json.loads(index.read_text()), "results": str(project / "results")}))
    Path("config.yaml").write_text(f"study: fake\nresults: {project}/results\n")
    git("add", "-f", VALUES)
    git("commit", "-qm", "with results")
    assert main(["diff", "HEAD"]) == 0
    assert "0 values moved" in capsys.readouterr().out


def test_a_name_that_no_file_can_have_is_one_message(project, capsys) -> None:
    assert main(["diff", "x" * 300]) == 2
    assert capsys.readouterr().err.endswith(
        "xxx is neither a folder nor a revision of this repository; give one of both\n"
    )


def test_a_folder_without_values_is_one_message(project, capsys) -> None:
    Path("empty").mkdir()
    assert main(["diff", "empty", "--study", "fake"]) == 2
    assert "empty holds no values of the study fake" in capsys.readouterr().err
    Path("values.json").write_text('{"a": 3}')
    assert main(["diff", "values.json", "--study", "fake"]) == 2
    error = capsys.readouterr().err
    assert "values.json holds no values" in error and "delete" not in error
    # any file may be named by mistake: none is to be deleted
    assert main(["diff", "config.yaml", "--study", "fake"]) == 2
    error = capsys.readouterr().err
    assert "config.yaml cannot be read as JSON" in error and "delete" not in error
