"""A run's store: its state while it trains, afterwards its finished artefacts, published as hard links.

Snakemake deletes declared outputs before each attempt and knows nothing of a job that outlives its
head; the store is not declared, so what is finished in it is never lost or trained twice.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import pretty_json, read_json, sha256_file, write_atomic

#: declared outputs in the order in which they are published
OUTPUTS = ("model.safetensors", "history.csv", "predictions.npz", "run.json")


class Store:
    """`<results>/store/<run>` and its way to `<results>/runs/<run>`."""

    def __init__(self, results: Path, run: str) -> None:
        self.folder = results / "store" / run
        self.published = results / "runs" / run
        self._receipt = self.folder / "finished.json"

    def is_finished(self) -> bool:
        """Whether all artefacts are here and whole; damaged ones are named and will be made again."""
        if not self._receipt.exists():
            return False
        try:
            wanted: Mapping[str, Any] = read_json(self._receipt)
        except UserError:
            wanted = {}
        damaged = [
            name
            for name in OUTPUTS
            if not (self.folder / name).is_file() or sha256_file(self.folder / name) != wanted.get(name)
        ]
        if damaged:
            print(
                f"{self.folder}: {', '.join(damaged)} changed since the run finished; it is trained again",
                file=sys.stderr,
                flush=True,
            )
            self._receipt.unlink()
        return not damaged

    def keep(self, name: str, content: bytes) -> str:
        """Write one artefact; returns its SHA-256."""
        path = self.folder / name
        # a published file may be a link to the old one: a new file leaves it as it is
        write_atomic(path, content)
        return sha256_file(path)

    def finish(self, checksums: Mapping[str, str]) -> None:
        """Declare the artefacts finished, once all of them are on the disk."""
        _remove_leftovers(self.folder)
        sync_folder(self.folder)
        write_atomic(self._receipt, pretty_json(dict(checksums)))
        sync_folder(self.folder)

    def publish(self) -> None:
        """Give the artefacts their declared names, the attestation last; raises UserError where it cannot."""
        try:
            self.published.mkdir(parents=True, exist_ok=True)
            # the attestation of an earlier attempt must not stand beside new files
            (self.published / OUTPUTS[-1]).unlink(missing_ok=True)
            _remove_leftovers(self.published)
            for name in OUTPUTS:
                _link(self.folder / name, self.published / name)
            sync_folder(self.published)
        except OSError as error:
            raise UserError(
                f"cannot write {self.published}: {error.strerror}; make it writable and start again: "
                "the run is finished and will only be published"
            ) from error


def _remove_leftovers(folder: Path) -> None:
    """Remove unfinished files of killed jobs; the lease says that no living one is at work."""
    for name in OUTPUTS:
        for path in folder.glob(f".{name}.*"):
            path.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(source, temporary)
    except OSError:
        # another file system, or one without hard links
        shutil.copyfile(source, temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
    temporary.replace(target)
    # renaming one link onto another link of the same file does nothing and leaves both
    temporary.unlink(missing_ok=True)
    # the workflow compares times: what is published now is newer than the data it was made from
    os.utime(target)


def sync_folder(folder: Path) -> None:
    """Make renames and links in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
