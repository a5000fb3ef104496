"""Which checkouts need what in a folder of results or of data: each notes there what its studies planned last."""

import hashlib
import json
import socket
from collections.abc import Iterable
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.files import pretty_json, write_atomic
from tokenmix.study.tolerant import read_object

#: the folder of the notes
FOLDER = "checkouts"


def note(folder: Path, root: Path, study: str, names: Iterable[str]) -> None:
    """Note in `folder` that a study of the checkout at `root` needs what bears these names there.

    Raises UserError where the folder cannot be written.
    """
    path = folder / FOLDER / f"{_key(root)}.json"
    before = read_object(path)
    studies = before["studies"] if isinstance(before.get("studies"), dict) else {}
    after = {
        "checkout": str(root.resolve()),
        "host": socket.gethostname(),
        "studies": {**studies, study: sorted(set(names))},
    }
    if after != before:
        write_atomic(path, pretty_json(after))


def needed_by_others(folder: Path, root: Path) -> dict[str, str]:
    """What checkouts other than the one at `root` need in `folder`: name -> which checkout and study.

    A checkout that was on this machine and is there no more needs nothing; whether one on another machine still
    exists nobody can tell here. Raises UserError for a note that cannot be read.
    """
    needed: dict[str, str] = {}
    for path in sorted((folder / FOLDER).glob("*.json")):
        if path.stem == _key(root):
            continue
        try:
            content = json.loads(path.read_bytes())
            where, host, studies = Path(content["checkout"]), str(content["host"]), dict(content["studies"])
            found = {str(name): study for study, names in studies.items() for name in names}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path} cannot be read, so what another checkout needs is unknown; make it readable, or delete it "
                "where that checkout is no more"
            ) from error
        if host == socket.gethostname() and path.stem != _key(where):
            continue
        needed |= {name: f"study {study} of the checkout {where} on {host}" for name, study in found.items()}
    return needed


def _key(root: Path) -> str:
    """One name per checkout, on every machine that sees it: its path and the number that its file system gave it."""
    path = root.resolve()
    number = path.stat().st_ino if path.is_dir() else 0
    return hashlib.sha256(f"{number} {path}".encode()).hexdigest()[:16]
