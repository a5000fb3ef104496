"""Prepare a data set into a folder that appears whole or not at all."""

import importlib
import os
import shutil
from pathlib import Path

from tokenmix.data.card import Facts
from tokenmix.data.samples import write_samples
from tokenmix.errors import UserError
from tokenmix.files import unfinished


def publish(kind: str, source: Path | None, facts: Facts, out: Path) -> None:
    """Run `prepare_<kind>` in a temporary folder beside `out`, add the sample picture, rename it to `out`.

    `source` is the archive or the folder of images; phantoms have none. An older `out` is replaced. Raises
    UserError where the source is bad or the disk refuses; then nothing of this preparation stays behind.
    """
    module = importlib.import_module(f"tokenmix.data.prepare_{kind}")
    out = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would follow a link that shall be replaced
    try:
        work = unfinished(out)
        work.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot write below {out.parent}: {error.strerror}; choose another data folder") from error
    try:
        module.prepare(source, facts, work)
        write_samples(work)
        _rename(work, out)
    except OSError as error:
        # reading the source or writing the arrays: the system's own words say which and why
        raise UserError(f"cannot prepare {facts.name} in {out}: {error}; mend this and run it again") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _rename(work: Path, out: Path) -> None:
    for path in (*work.iterdir(), work):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    # a rename cannot replace a filled folder: an older one steps aside first
    aside = work.with_name(f"{work.name}.old")
    if out.exists():
        out.rename(aside)
    try:
        work.rename(out)
    except OSError:
        if aside.exists():
            aside.rename(out)
        raise
    shutil.rmtree(aside, ignore_errors=True)
