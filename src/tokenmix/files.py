"""Small helpers for files that other jobs read: atomic writes, checksums, canonical JSON."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError


def write_atomic(path: Path | str, data: str | bytes) -> None:
    """Write `data` to `path` so that a reader sees the old content or the whole new one, never a part.

    The file is flushed to the disk before it takes its name. Raises UserError where the folder
    cannot be written.
    """
    path = Path(path)
    content = data.encode() if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = unfinished(path)
        file = temporary.open("xb")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make the folder writable or choose another") from error
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}; free some space or choose another folder") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def unfinished(path: Path) -> Path:
    """A hidden name beside `path` that nobody else takes, for a file or folder that is renamed to it once it is whole.

    Made by `open` or `mkdir` it follows the user's umask, as shared result folders need; `tempfile` makes private ones.
    """
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}")


def canonical_json(value: Any) -> str:
    """One text per value: sorted keys, no spaces, floats as Python prints them; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def pretty_json(value: Any) -> str:
    """JSON for files that people read: sorted keys, one space of indent, closing newline."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path | str) -> Any:
    """Read a JSON file; raises UserError with the file's name and line when it is not JSON."""
    return read_json_and_checksum(path)[0]


def read_json_and_checksum(path: Path | str) -> tuple[Any, str]:
    """What a JSON file holds, and the SHA-256 of the bytes that say so; raises UserError like `read_json`."""
    try:
        content = Path(path).read_bytes()
        return json.loads(content.decode("utf-8")), hashlib.sha256(content).hexdigest()
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the pipeline that makes it first") from error
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}); delete it so that it is made again") from error


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
