"""What the head decides about the machine it runs on."""

import sys
from types import SimpleNamespace

import pytest
from checkout import ROOT

sys.path.insert(0, str(ROOT / "workflow"))

import head


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
