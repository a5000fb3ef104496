"""One job at a time: waiting, taking over, and noticing that one was taken over."""

import itertools
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tokenmix.errors import UserError
from tokenmix.training import lease as module
from tokenmix.training.lease import hold, process_start
from tokenmix.training.signals import Stopped


class NoStop:
    """A stop request that no signal has reached."""

    signal: str | None = None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """The waiter's own clock, which only its naps move on; the naps, and what is to happen after each."""
    seconds = itertools.count(1000.0, 0.001)
    naps: list[float] = []
    after_nap = []

    def sleep(duration: float) -> None:
        naps.append(duration)
        assert len(naps) < 2000, "waits for ever"
        for action in after_nap:
            action()

    monkeypatch.setattr(module.time, "monotonic", lambda: next(seconds) + sum(naps))
    monkeypatch.setattr(module.time, "sleep", sleep)
    return naps, after_nap


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write_lease(folder: Path, **holder: object) -> Path:
    path = folder / "lease.1"
    path.write_text(json.dumps({"host": module.machine(), "pid": os.getpid(), "start": "1", **holder}))
    return path


def test_a_released_lease_is_free_and_numbers_count_attempts(tmp_path: Path) -> None:
    for attempt in (1, 2, 3):
        with hold(tmp_path / "store", NoStop()) as lease:
            assert lease.number == attempt
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["lease.3"]


def test_a_failing_job_releases_its_lease(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), hold(tmp_path, NoStop()):
        raise RuntimeError
    with hold(tmp_path, NoStop()) as lease:
        assert lease.number == 2


def test_the_lease_of_a_process_that_is_gone_is_taken_at_once(tmp_path: Path, clock) -> None:
    write_lease(tmp_path, pid=dead_process())
    with hold(tmp_path, NoStop()) as lease:
        assert lease.number == 2 and clock[0] == []


def test_a_new_process_with_an_old_number_holds_nothing(tmp_path: Path, clock) -> None:
    write_lease(tmp_path, start="0")  # this process is alive, but it did not start then
    with hold(tmp_path, NoStop()):
        assert clock[0] == []


def test_a_silent_lease_of_another_machine_is_dead_after_a_while(tmp_path: Path, clock, capsys) -> None:
    path = write_lease(tmp_path, host="node7/x/y")
    os.utime(path, (4e9, 4e9))  # its clock is ahead: only changes count
    with hold(tmp_path, NoStop(), silence=30) as lease:
        assert lease.number == 2
    assert 30 <= sum(clock[0]) < 32
    assert f"another job works at this run (process {os.getpid()} on node7)" in capsys.readouterr().err


def test_a_lease_with_a_heartbeat_is_waited_for(tmp_path: Path, clock) -> None:
    path = write_lease(tmp_path, host="node7/x/y")
    naps, after_nap = clock
    beats = itertools.count(1)

    def beat() -> None:
        n = next(beats)
        if n < 100:
            os.utime(path, (n, n))
        else:
            path.write_text(json.dumps({"released": True}))

    after_nap.append(beat)
    with hold(tmp_path, NoStop(), silence=3):
        assert len(naps) == 100


def test_a_signal_ends_the_wait(tmp_path: Path, clock) -> None:
    write_lease(tmp_path, host="node7/x/y")
    stop = NoStop()
    clock[1].append(lambda: setattr(stop, "signal", "SIGTERM"))
    with pytest.raises(Stopped, match="SIGTERM while waiting"), hold(tmp_path, stop):
        pass


def test_a_job_that_was_taken_for_dead_leaves(tmp_path: Path) -> None:
    with hold(tmp_path, NoStop()) as lease:
        lease.confirm()
        (tmp_path / "lease.2").write_text("{}")
        with pytest.raises(Stopped, match="another job took over"):
            lease.confirm()
    assert (tmp_path / "lease.2").read_text() == "{}", "the other job's lease is left alone"


def test_the_heartbeat_moves(tmp_path: Path) -> None:
    with hold(tmp_path, NoStop(), beat=0.005) as lease:
        os.utime(lease.path, (1, 1))
        deadline = time.monotonic() + 10
        while lease.path.stat().st_mtime == 1:
            assert time.monotonic() < deadline, "no heartbeat"


def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(module.os, "link", refuse)
    with hold(tmp_path, NoStop()) as lease:
        assert json.loads(lease.path.read_text())["pid"] == os.getpid()
        assert module._create(lease.path, "mine") is None


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    with (
        pytest.raises(UserError, match=r"cannot write .*store/run"),
        hold(tmp_path / "store" / "run", NoStop()),
    ):
        pass


def test_a_process_is_known_by_its_start() -> None:
    assert process_start(os.getpid()) is not None
    assert process_start(dead_process()) is None
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(process.pid) is None, "dead, though its parent has not asked yet"
    process.wait()


def test_a_job_that_made_an_older_number_again_backs_off(tmp_path: Path, clock, monkeypatch) -> None:
    # between its look and its link another job took number 2 and let it go, and a third one holds number 3
    create = module._create

    def late(path: Path, content: str) -> Path | None:
        monkeypatch.setattr(module, "_create", create)
        holder = {"host": "node7/x/y", "pid": 1, "start": "1"}
        (tmp_path / "lease.3").write_text(json.dumps(holder))
        clock[1].append(lambda: (tmp_path / "lease.3").write_text(json.dumps({"released": True})))
        return create(path, content)

    monkeypatch.setattr(module, "_create", late)
    with hold(tmp_path, NoStop()) as lease:
        assert lease.number == 4 and len(clock[0]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["lease.4"]


def test_many_jobs_hold_it_one_after_the_other(tmp_path: Path) -> None:
    inside: list[int] = []
    numbers: list[int] = []

    def work() -> None:
        for _ in range(5):
            with hold(tmp_path, NoStop(), beat=0.001) as lease:
                inside.append(1)
                numbers.append(lease.number if len(inside) == 1 else -1)
                lease.confirm()
                inside.pop()

    with ThreadPoolExecutor(4) as pool:
        for job in [pool.submit(work) for _ in range(4)]:
            job.result()
    assert numbers == list(range(1, 21))
