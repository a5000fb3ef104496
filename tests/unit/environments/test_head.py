"""What the head decides about the machine it runs on."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from checkout import ROOT

sys.path.insert(0, str(ROOT / "workflow"))

import head

from tokenmix.training.lease import machine, this_process

HOST, BOOT, NAMESPACE = machine().split("/")


def note(kind: str) -> str:
    """What a head of some kind left behind."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    notes = {
        "alive": this_process(),
        "died here": {**this_process(), "pid": ended.pid, "start": "1"},
        "died with the machine": {**this_process(), "host": f"{HOST}/{'0' * 36}/{NAMESPACE}"},
        "elsewhere": {**this_process(), "host": f"another/{BOOT}/{NAMESPACE}"},
        "in another container": {**this_process(), "host": f"{HOST}/{BOOT}/pid:[1]"},
    }
    return json.dumps(notes[kind]) if kind in notes else ""


def leave(folder, *kinds: str) -> list:
    """Notes of heads of some kinds, the kind with `, long silent` as old as an hour, and a lock."""
    lock = folder / ".snakemake/locks/0.input.lock"
    for parent in (lock.parent, folder / ".snakemake/heads"):
        parent.mkdir(parents=True)
    lock.touch()
    paths = []
    for number, words in enumerate(kinds):
        kind, _, silent = words.partition(", ")
        paths.append(folder / f".snakemake/heads/{number}.json")
        paths[-1].write_text(note(kind))
        if silent:
            os.utime(paths[-1], (time.time() - 3600,) * 2)
    return [lock, *paths]


@pytest.mark.parametrize(
    ("left", "freed"),
    [
        (["died here"], True),
        (["died with the machine"], True),
        (["died here", "died with the machine"], True),
        (["died here", "alive"], False),
        (["died here", "elsewhere"], False),
        (["in another container"], False),
        (["died here", "cut off while it was written"], False),
        (["elsewhere, long silent"], True),
        (["died here", "elsewhere, long silent"], True),
        (["in another container, long silent"], True),
        (["cut off while it was written, long silent"], True),
        (["elsewhere", "elsewhere, long silent"], False),
        (["alive, long silent"], False),  # suspended
        ([], False),
    ],
)
def test_locks_are_removed_where_all_heads_are_known_to_be_dead(tmp_path, monkeypatch, capsys, left, freed):
    monkeypatch.chdir(tmp_path)
    lock, *_ = leave(tmp_path, *left)
    head.free_locks_of_the_dead()
    assert lock.exists() != freed
    assert ("its locks are removed" in capsys.readouterr().err) == freed


def test_a_head_shows_life_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(head, "BEAT", 0.01)
    head.free_locks_of_the_dead()
    life = threading.enumerate()[-1]
    (mine,) = (tmp_path / ".snakemake/heads").iterdir()
    os.utime(mine, (1, 1))
    deadline = time.monotonic() + 20
    while mine.stat().st_mtime == 1 and time.monotonic() < deadline:
        os.sched_yield()
    assert mine.stat().st_mtime > 1
    # one that was taken for dead while it was suspended says so again, whatever folder it works in by now
    monkeypatch.chdir("/")
    mine.unlink()
    while not mine.exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert json.loads(mine.read_text())["pid"] == os.getpid()
    shutil.rmtree(mine.parent)
    while life.is_alive() and time.monotonic() < deadline:
        os.sched_yield()
    assert not life.is_alive() and not mine.parent.exists()


def test_a_head_that_ends_leaves_no_note(tmp_path):
    code = f"import sys; sys.path.insert(0, '{ROOT}/workflow'); import head; head.free_locks_of_the_dead()"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert not list((tmp_path / ".snakemake/heads").iterdir())


def workflow(*, nodes=None, cores=8, resources=()):
    """As much of Snakemake's workflow as the head asks."""
    known = dict.fromkeys(resources, 2)
    return SimpleNamespace(
        resource_settings=SimpleNamespace(nodes=nodes, cores=cores),
        global_resources=known,
        register_resource=known.__setitem__,
    )


@pytest.mark.parametrize(
    ("gpu", "asked", "workers", "resources"),
    [
        (False, {}, 8, {}),
        (True, {}, 1, {"gpu": 1}),  # packs take turns
        (True, {"resources": ["gpu"]}, 1, {"gpu": 2}),  # --resources gpu=2
        (True, {"nodes": 100}, 1, {}),  # a cluster has its own
    ],
)
def test_a_gpu_takes_one_pack_at_a_time(monkeypatch, gpu, asked, workers, resources):
    monkeypatch.setattr(head, "has_gpu", lambda: gpu)
    machine = workflow(**asked)
    assert head.trains_at_once(machine) == workers
    assert machine.global_resources == resources
