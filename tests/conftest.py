"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest
from faults.scene import Scene, digests


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images for tests, named by TOKENMIX_MIRRORS."""
    folder = os.environ.get("TOKENMIX_MIRRORS", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real images are not here: set TOKENMIX_MIRRORS to the folder that holds them")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    """The published bytes of the study of faults when nothing happens to it."""
    with Scene(tmp_path_factory.mktemp("undisturbed")) as scene:
        scene.finish()
        return digests(scene.folder)
