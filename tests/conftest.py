"""Fixtures that every test may use."""

import fcntl
import os
from pathlib import Path

import pytest
from faults.scene import Scene
from xdist.scheduler import LoadScopeScheduling


class ByWhatIsShared(LoadScopeScheduling):
    """Hands a file's tests to one worker, so that what they share is built once.

    Those of `slurm` all go to one: a machine holds one cluster. Faults share nothing and are long: one by one.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/slurm/"):
            return "slurm"
        return nodeid if nodeid.startswith("tests/faults/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config, log):
    """Used in place of --dist loadgroup, whose marks this version of pytest does not pass on."""
    return ByWhatIsShared(config, log)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images for tests, named by TOKENMIX_MIRRORS."""
    folder = os.environ.get("TOKENMIX_MIRRORS", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real images are not here: set TOKENMIX_MIRRORS to the folder that holds them")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, worker_id) -> Path:
    """The folder of the study of faults when nothing happens to it; the first worker that needs it computes it."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    folder, finished = shared / "undisturbed", shared / "undisturbed.finished"
    with (shared / "undisturbed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            folder.mkdir(exist_ok=True)
            with Scene(folder) as scene:
                scene.finish()
            finished.touch()
    return folder
