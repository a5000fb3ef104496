"""Each fault of `local` once; `make faults` does each of them twenty times."""

import os
import shutil

import pytest

from faults.local import FAULTS, disk_full, read_only
from faults.scene import Scene


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_changes_no_byte(fault, undisturbed, tmp_path):
    if fault in (disk_full, read_only) and (os.geteuid() != 0 or not shutil.which("mount")):
        pytest.skip("only root can mount a small file system")
    with Scene(tmp_path, undisturbed=undisturbed) as scene:
        fault(scene)
        verdict = scene.verdict()
        assert verdict.harmless, f"{verdict}\n{scene.said()}"
