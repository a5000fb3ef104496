"""A finished study handed on: it compiles alone, it builds again without training, and checkouts share their runs."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from checkout import Checkout
from pdf import pdf_text


class Archived:
    """A folder of results outside of any checkout, which one checkout has filled with a study and its archives."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / "shared"
        first = self.checkout(folder / "first")
        done = first.snakemake("archive")
        assert done.returncode == 0, done.stdout[-6000:]
        self.text = pdf_text(self.results / "tiny/paper.pdf")

    def checkout(self, folder: Path) -> Checkout:
        """A fresh checkout that puts its results there."""
        checkout = Checkout(folder)
        checkout.edit("config.yaml", "results: results ", f"results: {self.results} ")
        return checkout


@pytest.fixture(scope="module")
def archived(tmp_path_factory) -> Archived:
    """The whole study, computed and archived."""
    if not shutil.which("latexmk"):
        pytest.skip("LaTeX is missing: make tex")
    return Archived(tmp_path_factory.mktemp("archived"))


def jobs(output: str) -> set[str]:
    """The rules that Snakemake ran."""
    return {line.split("Rule: ")[1].rstrip(")") for line in output.splitlines() if "(Rule: " in line}


@pytest.mark.parametrize(
    "command",
    [
        "latexmk -norc -pdf -interaction=batchmode main.tex",
        # as arXiv does it, without BibTeX
        "rm references.bib; for i in 1 2 3; do pdflatex -interaction=batchmode main.tex; done",
    ],
)
def test_the_arxiv_bundle_compiles_alone_to_the_same_text(archived, tmp_path, command):
    with tarfile.open(archived.results / "tiny/arxiv.tar.gz") as bundle:
        bundle.extractall(tmp_path, filter="data")
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert pdf_text(tmp_path / "main.pdf") == archived.text


def test_the_paper_is_built_from_the_archive_without_training(archived, tmp_path):
    fresh = Checkout(tmp_path)
    command = [sys.executable, "-m", "tokenmix", "archive", "restore", str(archived.results / "tiny/archive.zip")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, "tiny\n"), told.stderr
    done = fresh.snakemake("paper")
    assert done.returncode == 0, done.stdout[-6000:]
    of_results = {"prepare_data", "prepare_weights", "train", "publish", "evaluate", "rank", "profile"}
    assert "pdf" in jobs(done.stdout) and not jobs(done.stdout) & of_results
    assert pdf_text(tmp_path / "results/tiny/paper.pdf") == archived.text


def test_checkouts_that_share_their_results_train_once(archived, tmp_path):
    weights = {path: path.stat().st_mtime_ns for path in archived.results.rglob("*.safetensors")}
    pdf = archived.results / "tiny/paper.pdf"
    pdf.unlink()
    done = archived.checkout(tmp_path).snakemake("paper")
    assert done.returncode == 0, done.stdout[-6000:]
    assert "pdf" in jobs(done.stdout) and not jobs(done.stdout) & {"train", "publish"}
    assert weights == {path: path.stat().st_mtime_ns for path in archived.results.rglob("*.safetensors")} != {}
    assert pdf_text(pdf) == archived.text
