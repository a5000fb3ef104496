"""Each fault of a cluster once; `make faults` does each of them twenty times."""

import pytest
from faults.cluster import FAULTS, PROFILE
from faults.scene import Scene


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_changes_no_byte(fault, cluster, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", cluster["SLURM_CONF"])
    with Scene(tmp_path, *PROFILE, undisturbed=undisturbed) as scene:
        fault(scene)
        verdict = scene.verdict()
        assert verdict.harmless, f"{verdict}\n{scene.said()}"
