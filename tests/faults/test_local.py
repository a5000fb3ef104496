"""Each fault of `local` once; `make faults` does each of them twenty times."""

import shutil
import subprocess
from pathlib import Path

import pytest

from faults.local import FAULTS, disk_full, read_only
from faults.scene import Scene


def mount_refused(folder: Path) -> str:
    """Why this machine mounts no file system for us, or nothing where it does."""
    if not shutil.which("mount"):
        return "mount is missing"
    tried = subprocess.run(["mount", "-t", "tmpfs", "tokenmix", folder], capture_output=True, text=True)
    if tried.returncode:
        return tried.stderr.strip()
    subprocess.run(["umount", folder], check=True)
    return ""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_changes_no_byte(fault, undisturbed, tmp_path):
    if fault in (disk_full, read_only) and (refusal := mount_refused(tmp_path)):
        pytest.skip(f"no small file system can be mounted here ({refusal}); run the tests as root")
    with Scene(tmp_path, undisturbed=undisturbed) as scene:
        fault(scene)
        verdict = scene.verdict()
        assert verdict.harmless, f"{verdict}\n{scene.said()}"
