"""The embedded study through a real SLURM, from a bare checkout to the PDF."""

import json
import re
import shutil
import subprocess

import pytest
from checkout import Checkout


def jobs(environment: dict[str, str]) -> dict[str, dict[str, str]]:
    """What SLURM knows of every job it ran, by number."""
    shown = subprocess.run(["scontrol", "-o", "show", "job"], env=environment, capture_output=True, text=True).stdout
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.splitlines()]
    return {job["JobId"]: job for job in found}


def test_the_embedded_study_runs_in_slurm_jobs_and_ends_with_the_pdf(cluster, tmp_path):
    if not shutil.which("latexmk"):
        pytest.skip("LaTeX is missing: make tex")
    checkout = Checkout(tmp_path)
    # one epoch: what SLURM does with the jobs is tested here, and the suite has minutes
    checkout.edit("workflow/studies/demo.yaml", "iterations: 96 ", "iterations: 16 ")
    done = checkout.snakemake("--profile", "slurm", "all", study="demo", env=cluster, timeout=1500)
    assert done.returncode == 0, done.stdout[-4000:]
    assert (tmp_path / "results/demo/paper.pdf").read_bytes().startswith(b"%PDF")

    attested = [json.loads((run / "run.json").read_text())["execution"] for run in checkout.runs()]
    assert len(attested) == 16
    ran, trained = jobs(cluster), {execution["slurm_job"] for execution in attested}
    assert len(trained) < len(attested), "short runs should share a job"
    for number in trained:
        job = ran[number]
        assert job["JobState"] == "COMPLETED"
        assert job["TimeLimit"] == "12:00:00"
        assert "mem=2000M" in job["TRES"] and "cpu=1" in job["TRES"]
        assert re.search(r"\bgpu:1$", job.get("TresPerJob") or job["TresPerNode"])
