"""A results archive is whole, repeatable and checked before anything of it is used."""

import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from finished_study import finished_study

from tokenmix.errors import UserError
from tokenmix.reporting.archive import arxiv, results
from tokenmix.reporting.archive.restore import restore
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.provenance.integrity import refuse_changed_attestations


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(study, its archive, the checkout that made it)."""
    folder = tmp_path_factory.mktemp("made")
    study, _ = finished_study(folder)
    results.write(study, folder, folder / "archive.zip")
    return study, folder / "archive.zip", folder


@pytest.fixture
def fresh(made, tmp_path):
    """The same checkout without results and data."""
    shutil.copytree(made[2], tmp_path / "fresh", ignore=shutil.ignore_patterns("results", "data", "archive.zip"))
    # the package's own data folder has the same name
    shutil.copytree(made[2] / "src", tmp_path / "fresh/src", dirs_exist_ok=True)
    return tmp_path / "fresh"


def changed(path: Path, into: Path, change, *, again: bool = False) -> Path:
    """The archive with other contents: `change` edits a mapping of names to bytes; `again` lists the checksums anew."""
    with zipfile.ZipFile(path) as old:
        files = {name: old.read(name) for name in old.namelist() if not name.endswith("/")}
    change(files)
    if again:
        listed = sorted(files.keys() - {results.MANIFEST})
        lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in listed]
        files[results.MANIFEST] = "".join(lines).encode()
    with zipfile.ZipFile(into, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
    return into


def test_the_same_study_gives_the_same_bytes(made, tmp_path):
    study, path, folder = made
    results.write(study, folder, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()
    with zipfile.ZipFile(path) as archived:
        assert {entry.date_time for entry in archived.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_sha256sum_agrees_with_the_manifest(made, tmp_path):
    shutil.unpack_archive(made[1], tmp_path, "zip")
    done = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", results.MANIFEST], cwd=tmp_path)
    assert done.returncode == 0
    listed = (tmp_path / results.MANIFEST).read_text().count("\n")
    assert listed + 1 == sum(path.is_file() for path in tmp_path.rglob("*"))


def test_a_changed_artefact_is_not_archived(made, tmp_path):
    shutil.copytree(made[2], tmp_path, dirs_exist_ok=True)
    study, plan = finished_study(tmp_path)
    predictions = study.results / "runs" / next(iter(plan.runs)) / "predictions.npz"
    predictions.write_bytes(b"better")
    with pytest.raises(UserError, match=rf"{re.escape(str(predictions))} is not the file that its run.json attests"):
        results.write(study, tmp_path, tmp_path / "a.zip")


def test_restored_runs_are_the_archived_ones_and_finished(made, fresh):
    study, path, _ = made
    assert restore(path, fresh) == ("tiny", [])
    for run in study.index["runs"]:
        for name in results.ARTEFACTS:
            ours, theirs = (folder / "runs" / run / name for folder in (fresh / "results", study.results))
            assert ours.read_bytes() == theirs.read_bytes()
        receipt = json.loads((fresh / "results/store" / run / "finished.json").read_text())
        assert (
            receipt["run.json"] == hashlib.sha256((study.results / "runs" / run / "run.json").read_bytes()).hexdigest()
        )
    for kind in ("csv", "sha256"):
        assert (fresh / f"results/tiny/metrics/classification_4t/a.{kind}").is_file()
    assert not (fresh / "results/tiny/paper.pdf").exists()
    restored = Study(study.path, {**study.index, "results": str(fresh / "results")})
    refuse_changed_attestations(restored)
    assert restore(path, fresh) == ("tiny", [])
    attestation = fresh / "results/runs" / run / "run.json"
    attestation.write_text(attestation.read_text().replace('"finished"', '"diverged"'))
    with pytest.raises(UserError, match=rf"{re.escape(str(attestation))} was changed after the run finished"):
        refuse_changed_attestations(restored)


@pytest.mark.parametrize(
    ("change", "again", "told"),
    [
        (
            lambda files, run: files.update({f"results/runs/{run}/predictions.npz": b"x"}),
            False,
            "predictions.npz was cha",
        ),
        (lambda files, run: files.update({f"results/runs/{run}/predictions.npz": b"x"}), True, "its run.json attests"),
        (lambda files, run: files.pop(f"results/runs/{run}/history.csv"), False, "history.csv is missing"),
        (lambda files, run: files.update({"extra.csv": b""}), False, "extra.csv is not listed"),
        (lambda files, run: files.update({"results/tiny/metrics/../../../../x": b""}), True, "leads out of the folder"),
        (lambda files, run: files.update({f"results/runs/{run}/run.json": b"[" * 9999}), True, "no JSON object"),
        (lambda files, run: files.update({f"results/runs/{run}/run.json": b"{}"}), True, "not the attestation"),
        (lambda files, run: files.pop(results.MANIFEST), False, results.MANIFEST),
    ],
)
def test_a_tampered_file_is_named_and_nothing_is_written(made, fresh, tmp_path, change, again, told):
    run = next(iter(made[0].index["runs"]))
    broken = changed(made[1], tmp_path / "broken.zip", lambda files: change(files, run), again=again)
    with pytest.raises(UserError, match=told):
        restore(broken, fresh)
    assert not (fresh / "results").exists()


def test_a_flipped_byte_is_named(made, fresh, tmp_path):
    content = bytearray(made[1].read_bytes())
    run = next(iter(made[0].index["runs"]))
    name = f"results/runs/{run}/predictions.npz".encode()
    content[content.index(name) + len(name) + 3] ^= 255
    (tmp_path / "broken.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"predictions\.npz"):
        restore(tmp_path / "broken.zip", fresh)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_file_that_is_packed_in_another_way_is_refused(method, made, fresh, tmp_path):
    with zipfile.ZipFile(made[1]) as old, zipfile.ZipFile(tmp_path / "other.zip", "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    content = (tmp_path / "other.zip").read_bytes()
    (tmp_path / "other.zip").write_bytes(content[:60] + bytes(200) + content[260:])
    with pytest.raises(UserError, match="is packed in a way that archives of this project are not"):
        restore(tmp_path / "other.zip", fresh)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06"])
def test_what_is_no_archive_is_refused(content, tmp_path):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip"):
        restore(tmp_path / "a.zip", tmp_path)


def test_another_training_code_is_refused_with_the_commit_to_check_out(made, fresh):
    overlay = fresh / "workflow/studies/tiny.yaml"
    overlay.write_text(overlay.read_text().replace("iterations: 12", "iterations: 13"))
    with pytest.raises(UserError, match=r"lacks 2 of 2 runs of the study tiny, .*check out commit c0ffee"):
        restore(made[1], fresh)
    overlay.unlink()
    with pytest.raises(UserError, match=r"has no study tiny.*check out commit c0ffee"):
        restore(made[1], fresh)


def test_a_place_that_cannot_be_written_is_one_message(made, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/a\.zip"):
        results.write(made[0], made[2], tmp_path / "file/a.zip")
    results.write(made[0], made[2], tmp_path / "new/a.zip")
    assert (tmp_path / "new/a.zip").read_bytes() == made[1].read_bytes()


def test_metrics_of_another_evaluation_are_computed_again(made, fresh):
    overlay = fresh / "workflow/studies/tiny.yaml"
    overlay.write_text(overlay.read_text() + "evaluation: {bootstrap: 177}\n")
    assert restore(made[1], fresh) == ("tiny", ["metrics: `evaluation` changed"])
    assert not (fresh / "results/tiny/metrics").exists() and (fresh / "results/tiny/profile/models.csv").is_file()


@pytest.mark.parametrize("stage", ["evaluation", "ranking", "switches"])
def test_metrics_of_other_code_are_computed_again(made, fresh, tmp_path, stage):
    def other(files):
        (name,) = [name for name in files if re.fullmatch(r"results/plan/tiny\.\w+\.json", name)]
        index = json.loads(files[name])
        index["code"][stage] = "another"
        files[name] = json.dumps(index).encode()

    archive = changed(made[1], tmp_path / "other.zip", other, again=True)
    assert restore(archive, fresh)[1] == [f"metrics: the code of {stage} changed"]


def test_a_run_that_was_trained_here_is_not_overwritten(made, fresh):
    run = next(iter(made[0].index["runs"]))
    own = fresh / "results/runs" / run / "predictions.npz"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    with pytest.raises(UserError, match="this run was trained here as well"):
        restore(made[1], fresh)
    assert own.read_bytes() == b"mine"


def test_the_arxiv_bundle_holds_what_latex_read(tmp_path):
    for name in ("main.tex", "values.tex", "figures/a.pdf", "main.bbl", "main.aux", "references.bib", "notes.tex"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    read = ("main.tex", "./values.tex", "values.tex", "figures/a.pdf", "main.bbl", "main.aux", "/usr/a.sty", "../x.tex")
    record = [f"PWD {tmp_path}", *(f"INPUT {name}" for name in read), "OUTPUT main.aux", "OUTPUT main.pdf"]
    (tmp_path / "main.fls").write_text("\n".join(record))
    names = arxiv.write(tmp_path, tmp_path / "a.tar.gz")
    assert names == ["figures/a.pdf", "main.bbl", "main.tex", "references.bib", "values.tex"]
    (tmp_path / "main.tex").touch()
    arxiv.write(tmp_path, tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    with pytest.raises(UserError, match="typeset the paper first"):
        arxiv.write(tmp_path / "figures", tmp_path / "c.tar.gz")
