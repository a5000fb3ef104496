"""Download over HTTP(S): resumed where the server allows it, retried with growing pauses, bounded in size."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from tokenmix import __version__
from tokenmix.errors import UserError
from tokenmix.study.grammar import quote

ATTEMPTS = 5
#: seconds before the second attempt; doubled each time
FIRST_PAUSE = 2.0
#: a server that asks for more is left alone
LONGEST_PAUSE = 120.0
TIMEOUT = (15, 60)  # to connect, and between two bytes
BLOCK = 1 << 18
MAXIMUM_REDIRECTS = 5
LENGTH = re.compile(r"[0-9]{1,18}")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ServerChangedFile(Exception):
    """The server sends more than the file can hold."""


class _Interrupted(Exception):
    """The attempt failed in a way that may pass; `pause` is the server's wish in seconds."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


def download(url: str, part: Path, limit: int) -> None:
    """Append to `part` until it holds the whole file, `limit` bytes at most.

    Raises UserError when the address is refused or the server cannot be reached after several attempts
    (what was received stays for the next call), ServerChangedFile when it sends more than `limit`, OSError
    from the disk.
    """
    check_address(url, url)
    pause = FIRST_PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _attempt(url, part, limit)
            return
        except _Interrupted as problem:
            if attempt == ATTEMPTS:
                raise UserError(
                    f"cannot fetch {url} after {ATTEMPTS} attempts ({problem}); {part.stat().st_size} "
                    "bytes are kept "
                    "and the next call goes on from there: check the network, or put the file into a "
                    "mirror folder"
                ) from problem
            wait = problem.pause if problem.pause is not None else pause
            if wait > LONGEST_PAUSE:
                raise UserError(
                    f"{problem} and asks for a pause of {wait:.0f} s; {part.stat().st_size} bytes are kept and the "
                    "next call goes on from there: call again then, or put the file into a mirror folder"
                ) from problem
            print(f"{problem}; next attempt in {wait:g} s", file=sys.stderr)
            time.sleep(wait)
            pause *= 2


def check_address(url: str, origin: str) -> None:
    """Raise UserError unless `url` is https, or it and the first address, `origin`, are on this computer."""
    try:
        parts = urlsplit(url)
        local = parts.hostname in LOOPBACK and urlsplit(origin).hostname in LOOPBACK
    except ValueError as error:
        raise UserError(f"{quote(url)} is no address ({error}); mend it where {quote(origin)} is written") from error
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        reached = "" if url == origin else f" (redirected from {origin})"
        raise UserError(f"{url}{reached} is not encrypted; only https is followed: use the file's https address")


def _attempt(url: str, part: Path, limit: int) -> None:
    have = part.stat().st_size
    try:
        with requests.Session() as session, _open(session, url, have) as response:
            if response.status_code == 416 and have:
                # nothing is left to send: the checksum decides whether the part is the file
                return
            if response.status_code in (408, 425, 429) or response.status_code >= 500:
                raise _Interrupted(f"{url} answers {response.status_code}", _wish(response))
            if response.status_code not in (200, 206):
                raise UserError(
                    f"{url} answers {response.status_code} {response.reason}; check the address in "
                    "the manifest, "
                    "or put the file into a mirror folder"
                )
            start = have if response.status_code == 206 and _continues(response, have) else 0
            _receive(response, part, start, limit, url)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _Interrupted(f"{url}: {_plain(error)}") from error


def _open(session: requests.Session, url: str, have: int) -> requests.Response:
    # no compression on the way: ranges and sizes shall mean bytes of the file
    headers = {
        "User-Agent": f"tokenmix/{__version__} (research; one file at a time)",
        "Accept-Encoding": "identity",
    }
    if have:
        headers["Range"] = f"bytes={have}-"
    address = url
    for _ in range(MAXIMUM_REDIRECTS + 1):
        try:
            response = session.get(address, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=False)
            if not response.is_redirect:
                return response
            response.close()
            address = urljoin(address, response.headers["Location"])
        except requests.RequestException:
            raise
        except ValueError as error:  # requests itself takes the next address apart
            raise UserError(
                f"{address} redirects to what is no address ({error}); use the file's own address"
            ) from error
        check_address(address, url)
    raise UserError(f"{url} is redirected more than {MAXIMUM_REDIRECTS} times; use the file's own address")


def _continues(response: requests.Response, have: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _wish(response: requests.Response) -> float | None:
    try:
        return urllib3.Retry().parse_retry_after(response.headers.get("Retry-After", ""))
    except urllib3.exceptions.InvalidHeader:
        return None


def _receive(response: requests.Response, part: Path, start: int, limit: int, url: str) -> None:
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if LENGTH.fullmatch(length) else None
    if total is not None and total > limit:
        raise ServerChangedFile(_too_large(url, total, limit))
    received = start
    with part.open("r+b") as file, _progress(part.name.removesuffix(".part"), start, total) as advance:
        file.truncate(start)
        file.seek(start)
        # read1 hands over what has arrived, so that a break loses nothing of it
        while block := response.raw.read1(BLOCK):
            received += len(block)
            if received > limit:
                raise ServerChangedFile(_too_large(url, received, limit))
            file.write(block)
            advance(len(block))
        file.flush()
        os.fsync(file.fileno())
    if total is not None and received < total:
        raise _Interrupted(f"{url} broke off at {received} of {total} bytes")


def _too_large(url: str, found: int, limit: int) -> str:
    return (
        f"{url} sends {found} bytes or more where the data set has at most {limit}; nothing was kept: "
        "check the address in the manifest"
    )


def _plain(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not valid"
    if isinstance(error, (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)):
        return "the server does not answer in time"
    return "the connection failed or broke off"


@contextmanager
def _progress(name: str, start: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line for each tenth in a log file; yields what is called with each number of new bytes."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(name, total=total, completed=start)
            yield lambda count: bar.advance(task, count)
        return
    print(f"fetching {name}" + (f", {total} bytes" if total else ""), file=sys.stderr)
    received = start

    def advance(count: int) -> None:
        nonlocal received
        before, received = received, received + count
        if total and before * 10 // total < received * 10 // total:
            print(f"{name}: {received * 100 // total} %", file=sys.stderr, flush=True)

    yield advance
