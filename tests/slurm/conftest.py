"""A running SLURM for the tests of a module."""

import os
import subprocess
from pathlib import Path

import pytest

CLUSTER = Path(__file__).parent / "cluster"
#: its exit code where no SLURM can run on this machine
CANNOT = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A running SLURM; its environment. SLURM_CONF lies in the folder of its configuration, logs and process ids."""
    folder = tmp_path_factory.mktemp("slurm")
    up = subprocess.run([CLUSTER, "up", folder], capture_output=True, text=True)
    if up.returncode == CANNOT:
        pytest.skip(f"no real SLURM here ({up.stderr.strip().removeprefix('error: ')})")
    assert up.returncode == 0, up.stderr
    yield {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    subprocess.run([CLUSTER, "down", folder], check=True)
