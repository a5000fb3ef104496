"""What a reader sees of a PDF."""

import re
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest


def pdf_text(pdf: Path) -> str:
    """The text of a PDF; pages end with a form feed. Skips the test where poppler is missing."""
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is missing: apt install poppler-utils")
    return subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout


def pdf_links(pdf: Path) -> set[str]:
    """The addresses that a PDF links to."""
    if not shutil.which("pdfinfo"):
        pytest.skip("pdfinfo is missing: apt install poppler-utils")
    told = subprocess.run(["pdfinfo", "-url", pdf], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in told.splitlines()[1:]}


def pdf_jumps(pdf: Path) -> set[str]:
    """The names of the places inside a PDF that its links lead to."""
    content = pdf.read_bytes()
    objects = b""
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):
        try:
            objects += zlib.decompressobj().decompress(stream)
        except zlib.error:
            continue  # a font or an image that is packed otherwise
    return {name.decode() for name in re.findall(rb"/S\s*/GoTo\s*/D\s*\((.*?)\)", content + objects)}
