"""Fetch one file: mirrors first, then the official address; verified before it gets its name."""

import fcntl
import glob
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

from tokenmix.data.download import ServerChangedFile, download
from tokenmix.errors import UserError
from tokenmix.study.grammar import quote
from tokenmix.study.manifest import DatasetEntry, Source

#: a plain name: no path, nothing hidden, short enough that `.part` can follow
FILE_NAME = re.compile(r"[^./\\\0-\x1f\x7f][^/\\\0-\x1f\x7f]{0,99}")
#: held by the job that downloads; never removed, or two jobs could hold two of that name
LOCK = ".lock"
#: an archive of unknown size may be this much larger than the pixels it holds
OVERHEAD = 1.02
#: an archive whose pixels are not known beforehand may have this many bytes
LARGEST_ARCHIVE = 16 << 30


@dataclass(frozen=True)
class Wanted:
    """A file to fetch: what it is called in words and on disk, where it lies, and how to recognise it."""

    title: str
    url: str
    name: str
    largest: int  # bytes
    matches: Callable[[Path], bool]
    algorithm: str
    checksum: str  # as messages say it


def fetch(
    entry: DatasetEntry, size: int, cache: Path, mirrors: Sequence[Path | str] = (), offline: bool = False
) -> Path:
    """Path of the verified file that images of `size` pixels come from.

    Looks in `cache`, then recursively in the folders of TOKENMIX_MIRRORS and `mirrors` for the file's name,
    then downloads into `cache`. Raises UserError where the file cannot be had or its checksum is wrong.
    """
    source = entry.source(size)
    if source is None:
        raise UserError(_no_file(entry, size))
    wanted = Wanted(
        entry.title,
        source.url,
        file_name(source.url),
        largest_size(entry, size, source),
        lambda path: matches(path, source),
        "sha256" if source.sha256 else "md5",
        f"SHA-256 {source.sha256}" if source.sha256 else f"MD5 {source.md5}",
    )
    return fetch_file(wanted, cache, mirrors, offline)


def fetch_file(wanted: Wanted, cache: Path, mirrors: Sequence[Path | str] = (), offline: bool = False) -> Path:
    """Path of a verified file: in `cache`, in a mirror folder, or downloaded into `cache`; see `fetch`."""
    rejected = []
    for candidate in (cache / wanted.name, *_in_mirrors(wanted.name, mirrors)):
        if candidate.is_file():
            if wanted.matches(candidate):
                return candidate
            rejected.append(candidate)
    if offline:
        raise UserError(_offline(wanted, cache, rejected))
    for path in rejected:
        print(f"{path} has the wrong checksum and is passed over", file=sys.stderr)
    return _download_verified(wanted, cache / wanted.name)


def file_name(url: str) -> str:
    """The file's name in an address, without its query; raises UserError where it has none that can be used."""
    try:
        name = PurePosixPath(unquote(urlsplit(url).path)).name
    except ValueError as error:
        raise UserError(f"{quote(url)} is no address ({error}); mend it in the manifest") from error
    if not FILE_NAME.fullmatch(name):
        raise UserError(f"{quote(url)} names no file that can be stored; give the address of the file itself")
    return name


def largest_size(entry: DatasetEntry, size: int, source: Source) -> int:
    """Bytes that the file may have at most: as announced, or bounded by the pixels it is to hold."""
    if source.bytes:
        return source.bytes
    if entry.kind != "medmnist":
        return LARGEST_ARCHIVE
    cases = entry.splits.train + entry.splits.val + entry.splits.test
    return int(OVERHEAD * cases * (size**entry.dimensions * entry.channels + 8 * len(entry.classes))) + (1 << 20)


def matches(path: Path, source: Source) -> bool:
    """Whether a file has the size and the checksums that its source announces."""
    if source.bytes and path.stat().st_size != source.bytes:
        return False
    announced = {"md5": source.md5, "sha256": source.sha256}
    return all(checksum(path, kind) == value for kind, value in announced.items() if value)


def checksum(path: Path, algorithm: str) -> str:
    """Checksum of a file in hex; MD5 only recognises files, it protects nothing."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def expanded(folder: Path | str) -> Path:
    """A folder as a person writes it, `~` as their home; raises UserError where that is nobody's."""
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise UserError(f"{folder} cannot be found: {error}; write the whole path") from error


def _in_mirrors(name: str, mirrors: Sequence[Path | str]) -> Iterator[Path]:
    named = os.environ.get("TOKENMIX_MIRRORS", "").split(os.pathsep)
    for folder in [*(entry for entry in named if entry), *mirrors]:
        yield from sorted(expanded(folder).rglob(glob.escape(name)))


def _download_verified(wanted: Wanted, target: Path) -> Path:
    part = target.with_name(target.name + ".part")
    with _alone_in(target.parent):
        # two jobs may want the same file: the second finds it
        if target.is_file() and wanted.matches(target):
            return target
        try:
            part.touch()
            resumed = part.stat().st_size > 0
            download(wanted.url, part, wanted.largest)
            if not wanted.matches(part) and resumed:
                # the first half may stem from another version of the file
                os.truncate(part, 0)
                download(wanted.url, part, wanted.largest)
        except ServerChangedFile as error:
            part.unlink()
            raise UserError(str(error)) from error
        except OSError as error:
            raise UserError(
                f"cannot write {part}: {error.strerror}; free some space or choose another folder"
            ) from error
        if not wanted.matches(part):
            found = checksum(part, wanted.algorithm)
            part.unlink()
            raise UserError(
                f"{wanted.url} has the wrong checksum ({found} instead of {wanted.checksum}) and was removed; "
                "try again later, or put a right copy into a mirror folder"
            )
        part.rename(target)
    return target


def _open_lock(path: Path) -> IO[bytes]:
    try:
        return path.open("ab")
    except PermissionError:  # another user's; most file systems lock what may only be read
        return path.open("rb")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One job at a time downloads into a folder: servers are asked for one file after the other."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _open_lock(folder / LOCK)
    except OSError as error:
        raise UserError(f"cannot write below {folder}: {error.strerror}; choose another data folder") from error
    with lock:
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting for another job that downloads into {folder}", file=sys.stderr)
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise UserError(
                f"cannot lock {folder / LOCK}: {error.strerror}; choose a data folder on a file system that knows "
                "locks, or put the files into a mirror folder"
            ) from error
        yield


def _offline(wanted: Wanted, cache: Path, rejected: Sequence[Path]) -> str:
    text = (
        f"{wanted.title} is not on this machine and fetching is off (data.offline, --offline or TOKENMIX_OFFLINE); "
        f"put the file {wanted.name} into {cache} or into a folder of TOKENMIX_MIRRORS or data.mirrors\n"
        f"  address:  {wanted.url}\n  checksum: {wanted.checksum}"
    )
    return text + "".join(f"\n  {path} has that name but another checksum" for path in rejected)


def _no_file(entry: DatasetEntry, size: int) -> str:
    if not entry.files:
        return f"{entry.title} has no file to fetch: it is of kind {entry.kind}; prepare it directly"
    sizes = ", ".join(str(known) for known in sorted(entry.files))
    return f"{entry.title} is not offered at {size} pixels; choose one of {sizes}"
