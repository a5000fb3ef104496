"""The bundle for arXiv: all that LaTeX read when it made the paper, and nothing else, so that it compiles alone."""

import gzip
import io
import posixpath
import tarfile
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.files import write_atomic

#: LaTeX's own list of the files that it read and wrote
RECORD = "main.fls"
#: what LaTeX itself does not read: BibTeX's input (main.bbl was made of it) and the settings of latexmk
BESIDE = ("references.bib", "latexmkrc")


def sources(folder: Path) -> list[str]:
    """The files below `folder` that make the paper, as LaTeX recorded them; generated tables and figures included.

    Raises UserError where the paper was not typeset there.
    """
    try:
        lines = (folder / RECORD).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{folder / RECORD} is missing; typeset the paper first: make paper") from error
    read: set[str] = set()
    written: set[str] = set()
    for line in lines:
        kind, _, name = line.partition(" ")
        (read if kind == "INPUT" else written).add(posixpath.normpath(name))
    names = (read - written) | set(BESIDE)
    # files of the TeX installation have absolute names
    return sorted(name for name in names if not name.startswith(("/", "..")) and (folder / name).is_file())


def write(folder: Path, out: Path) -> list[str]:
    """Pack the paper's sources into a gzipped tar file; the same files give the same bytes. Returns their names."""
    names = sources(folder)
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in names:
            content = (folder / name).read_bytes()
            entry = tarfile.TarInfo(name)  # no time, no owner
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    write_atomic(out, packed.getvalue())
    return names
