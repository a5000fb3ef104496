"""Three trainings through a real SLURM: Debian's slurm-wlm and munge on loopback."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from checkout import TINY, Checkout

CLUSTER = Path(__file__).parent / "cluster"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A running SLURM; its environment."""
    missing = [name for name in ("slurmctld", "slurmd", "munged") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        reason = f"not installed: {', '.join(missing)}" if missing else "only root can start it"
        pytest.skip(f"no real SLURM here ({reason}); apt install slurm-wlm munge, as root")
    folder = tmp_path_factory.mktemp("slurm")
    up = subprocess.run([CLUSTER, "up", folder], capture_output=True, text=True)
    assert up.returncode == 0, up.stderr
    yield {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    subprocess.run([CLUSTER, "down", folder], check=True)


def jobs(environment: dict[str, str]) -> list[dict[str, str]]:
    """What SLURM knows of every job it ran."""
    shown = subprocess.run(["scontrol", "-o", "show", "job"], env=environment, capture_output=True, text=True).stdout
    return [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.splitlines()]


def test_three_trainings_run_as_slurm_jobs(cluster, tmp_path):
    checkout = Checkout(tmp_path)
    checkout.study("three", TINY.replace("seeds: [0]", "seeds: [0, 1, 2]").replace("identity: ", "identity: false"))
    done = checkout.snakemake(
        "--profile", "slurm", "--until", "train", "--set-resources", "train:mem_mb=3000", "train:runtime=15",
        study="three", env=cluster, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]

    attested = [json.loads((run / "run.json").read_text()) for run in checkout.runs()]
    assert sorted(record["spec"]["seed"] for record in attested) == [0, 1, 2]
    by_id = {job["JobId"]: job for job in jobs(cluster)}
    for record in attested:
        job = by_id[record["execution"]["slurm_job"]]
        assert job["JobState"] == "COMPLETED"
        assert job["TimeLimit"] == "00:15:00"
        assert "mem=3000M" in job["TRES"] and "cpu=1" in job["TRES"]
        assert "gpu" in job.get("TresPerJob", "") + job.get("TresPerNode", "")
