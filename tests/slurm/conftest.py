"""A running SLURM for the tests of a module."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CLUSTER = Path(__file__).parent / "cluster"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A running SLURM; its environment. SLURM_CONF lies in the folder of its configuration, logs and process ids."""
    missing = [name for name in ("slurmctld", "slurmd", "munged") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        reason = f"not installed: {', '.join(missing)}" if missing else "only root can start it"
        pytest.skip(f"no real SLURM here ({reason}); apt install slurm-wlm munge, as root")
    folder = tmp_path_factory.mktemp("slurm")
    up = subprocess.run([CLUSTER, "up", folder], capture_output=True, text=True)
    assert up.returncode == 0, up.stderr
    yield {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    subprocess.run([CLUSTER, "down", folder], check=True)
