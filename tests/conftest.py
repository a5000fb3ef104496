"""Fixtures that every test may use."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images for tests, named by TOKENMIX_MIRRORS."""
    folder = os.environ.get("TOKENMIX_MIRRORS", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real images are not here: set TOKENMIX_MIRRORS to the folder that holds them")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def pdf_text() -> Callable[[Path], str]:
    """The text of a PDF as a reader sees it; pages end with a form feed."""
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is missing: install poppler-utils")

    def text_of(pdf: Path) -> str:
        return subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout

    return text_of
