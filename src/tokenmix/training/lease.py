"""A lease on a run's store: one job at a time works in it, on any machine that sees the folder.

The lease is the file `lease.<n>` with the highest n, made by a hard link, which succeeds for one job
only, and touched by a heartbeat. Numbers only grow, so a job that was taken for dead (its machine was
suspended, say) finds a higher number than its own and leaves. n also counts the attempts at the run.
"""

import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.training.signals import Stopped, StopRequest

#: seconds between two heartbeats
BEAT = 5.0
#: seconds after which a lease is dead whose heartbeat a waiter saw stand still (what network file systems
#: tell about a file may be a minute old)
SILENCE = 90.0


class Lease:
    """A lease that this process holds. `number` counts the jobs that worked at the run, this one included."""

    def __init__(self, path: Path, beat: float) -> None:
        self.path = path
        self.number = _number(path)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, args=(beat,), daemon=True)
        self._thread.start()

    def _keep_alive(self, beat: float) -> None:
        while not self._ended.wait(beat):
            try:
                os.utime(self.path)
            except OSError:
                # the lease was taken over, or the file server is away: `confirm` tells which
                continue

    def confirm(self) -> None:
        """Raise Stopped where another job has taken this lease over; called before anything is written."""
        newest = _newest(self.path.parent)
        if newest is None or newest != self.path:
            raise Stopped(f"another job took over {self.path.parent} while this one was silent and goes on with it")

    def release(self) -> None:
        """End the heartbeat and free the lease; the file stays, so that numbers go on growing."""
        self._ended.set()
        self._thread.join()
        try:
            temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
            temporary.write_text(json.dumps({"released": True}))
            if _newest(self.path.parent) == self.path:
                temporary.replace(self.path)
            else:
                temporary.unlink()
        except OSError as error:
            # a waiter notices the missing heartbeat in any case
            print(f"the lease {self.path} could not be released: {error.strerror}", file=sys.stderr)


@contextmanager
def hold(folder: Path, stop: StopRequest, *, beat: float = BEAT, silence: float = SILENCE) -> Iterator[Lease]:
    """Hold the lease of a store folder; waits while another living job holds it.

    Raises Stopped when a signal ends the wait, UserError where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lease = Lease(_acquire(folder, stop, beat, silence), beat)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror}; make it writable (users who share results need a common group "
            "and `umask 002`) or choose another results folder"
        ) from error
    try:
        yield lease
    finally:
        lease.release()


def _acquire(folder: Path, stop: StopRequest, beat: float, silence: float) -> Path:
    told = False
    seen: dict[Path, tuple[int, float]] = {}
    content = json.dumps(this_process())
    while True:
        newest = _newest(folder)
        if newest is None or _is_free(newest, seen, silence):
            number = _number(newest) + 1 if newest else 1
            mine = _create(folder / f"lease.{number}", content)
            # a slower job may have made a lower number again after it was removed: the highest one counts
            if mine is not None and _newest(folder) == mine:
                _remove_older(folder, number)
                return mine
            if mine is not None:
                mine.unlink(missing_ok=True)
            continue
        if stop.signal:
            raise Stopped(f"{stop.signal} while waiting for the job that holds {folder}")
        if not told:
            print(f"waiting: another job works at this run ({_describe(newest)})", file=sys.stderr, flush=True)
            told = True
        time.sleep(min(beat, 0.5))


def _is_free(lease: Path, seen: dict[Path, tuple[int, float]], silence: float) -> bool:
    """Whether it was released, its process is gone, or its heartbeat stands still on the waiter's clock."""
    try:
        # opening the file makes network file systems ask the server for its attributes
        with lease.open() as file:
            beat = os.fstat(file.fileno()).st_mtime_ns
            text = file.read()
        holder = json.loads(text)
    except FileNotFoundError:
        return False  # another job has just replaced it: look again
    except ValueError:
        holder = {}
    if holder.get("released"):
        return True
    if is_gone(holder):
        return True
    first = seen.setdefault(lease, (beat, time.monotonic()))
    if first[0] != beat:
        seen[lease] = (beat, time.monotonic())
        return False
    return time.monotonic() - first[1] > silence


def _create(path: Path, content: str) -> Path | None:
    """Make the lease file with its content in one step, or return None where it exists."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return None
    except OSError:
        # no hard links here (some network and FAT file systems): exclusive creation, content a moment later
        try:
            with path.open("x") as file:
                file.write(content)
        except FileExistsError:
            return None
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("lease.*"), key=_number, default=None)


def _number(lease: Path) -> int:
    return int(lease.suffix[1:])


def _remove_older(folder: Path, number: int) -> None:
    for lease in folder.glob("lease.*"):
        if _number(lease) < number:
            lease.unlink(missing_ok=True)


def _describe(lease: Path) -> str:
    try:
        holder = json.loads(lease.read_text())
        return f"process {holder['pid']} on {holder['host'].split('/')[0]}"
    except (OSError, ValueError, KeyError):
        return str(lease)


def this_process() -> dict[str, Any]:
    """What tells this process from all others, on any machine."""
    return {"host": machine(), "pid": os.getpid(), "start": process_start(os.getpid())}


def is_gone(process: Mapping[str, Any]) -> bool:
    """Whether a process that `this_process` described ran here and runs no more; False where nobody can tell."""
    return process.get("host") == machine() and process_start(process["pid"]) != process["start"]


def machine() -> str:
    """Host, boot and process namespace: only inside the same ones does a process number say anything."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot = namespace = ""  # not Linux
    return f"{socket.gethostname()}/{boot}/{namespace}"


def process_start(pid: int) -> str | None:
    """When a process of this machine started (in its own unit), or None where it is gone (or a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # after the name in brackets: state is field 3 of proc(5), the start time field 22
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
