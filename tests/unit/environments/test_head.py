"""What the head decides about the machine it runs on."""

import json
import subprocess
import sys
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
        ([], False),
    ],
)
def test_locks_are_removed_where_all_heads_are_known_to_be_dead(tmp_path, monkeypatch, capsys, left, freed):
    monkeypatch.chdir(tmp_path)
    lock = tmp_path / ".snakemake/locks/0.input.lock"
    for folder in (lock.parent, tmp_path / ".snakemake/heads"):
        folder.mkdir(parents=True)
    lock.touch()
    for number, kind in enumerate(left):
        (tmp_path / f".snakemake/heads/{number}.json").write_text(note(kind))
    head.free_locks_of_the_dead()
    assert lock.exists() != freed
    assert ("its locks are removed" in capsys.readouterr().err) == freed


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
