"""Which checkouts need what in a folder of results or of data: each notes there what its studies have planned.

Planning adds to a note, for jobs of earlier plans may be waiting; only the checkout's own `tokenmix gc --remove`
takes away from it. A note stays until somebody deletes it: whether a checkout that cannot be seen still exists
(another machine, a file system that is not mounted) nobody can tell.
"""

import json
import os
import socket
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import pretty_json, write_atomic
from tokenmix.study.tolerant import read_object

#: the folder of the notes
FOLDER = "checkouts"
#: in a checkout: what tells it from all others, on every machine that sees it
IDENTITY = Path(".snakemake") / "checkout.json"


def note(folder: Path, root: Path, study: str, names: Iterable[str]) -> None:
    """Note in `folder` that a study of the checkout at `root` needs what bears these names there.

    Raises UserError where the folder, or the checkout, cannot be written.
    """
    path = folder / FOLDER / f"{_identity(root)}.{study}.json"
    before = read_object(path)
    known = before["names"] if isinstance(before.get("names"), list) else []
    about = {"checkout": str(root.resolve()), "host": socket.gethostname(), "study": study}
    after = {**about, "names": sorted({*map(str, known), *names})}
    if after != before:
        write_atomic(path, pretty_json(after))


def forget(folder: Path, root: Path, names: Iterable[str]) -> None:
    """Take names away from the checkout's own notes: what bore them was removed."""
    gone = set(names)
    for path, content in _notes(folder):
        if _is_own(path, content, root) and not gone.isdisjoint(content["names"]):
            write_atomic(path, pretty_json({**content, "names": [n for n in content["names"] if n not in gone]}))


def needed_by_others(folder: Path, root: Path) -> dict[str, str]:
    """What checkouts other than the one at `root` need in `folder`: name -> which checkout and study.

    Raises UserError for notes that cannot be read.
    """
    return {
        name: f"study {content['study']} of the checkout {content['checkout']} on {content['host']}, noted in {path}"
        for path, content in _notes(folder)
        if not _is_own(path, content, root)
        for name in content["names"]
    }


def _notes(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    try:
        entries = sorted(os.listdir(folder / FOLDER))  # noqa: PTH208 - a glob would pass over a folder that is closed
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{folder / FOLDER} cannot be read ({error.strerror}); {_REMEDY}") from error
    for path in (folder / FOLDER / name for name in entries if name.endswith(".json")):
        try:
            content = json.loads(path.read_bytes())
            names = [str(name) for name in content["names"]]
            yield path, {**{key: str(content[key]) for key in ("checkout", "host", "study")}, "names": names}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path} cannot be read; {_REMEDY}") from error


_REMEDY = "what another checkout needs is unknown: make it readable, or delete it where that checkout is no more"


def _is_own(path: Path, content: dict[str, Any], root: Path) -> bool:
    """Whether the checkout at `root` left a note; it may have lost its identity since (make clean)."""
    here = (str(root.resolve()), socket.gethostname())
    return path.name.partition(".")[0] == _read_identity(root) or (content["checkout"], content["host"]) == here


def _identity(root: Path) -> str:
    found = _read_identity(root)
    if found is None:
        found = uuid.uuid4().hex
        write_atomic(root / IDENTITY, pretty_json({"identity": found, "checkout": str(root.resolve())}))
    return found


def _read_identity(root: Path) -> str | None:
    found = read_object(root / IDENTITY)
    # a copy of a checkout holds the identity of the original
    return str(found["identity"]) if found.get("checkout") == str(root.resolve()) and "identity" in found else None
