"""How many runs share a GPU, by what its driver tells."""

import pytest

from tokenmix.training import gpu
from tokenmix.training.gpu import Probe, Reading, read_gpu, side_by_side


def reading(used: float, busy: float) -> Reading:
    return Reading(used, 10_000.0, busy, None)


@pytest.mark.parametrize(
    ("used", "busy", "at_most", "expected"),
    [
        (500, 0.3, 8, 4),  # idle time for four
        (500, 0.95, 8, 2),
        (500, 1.0, 8, 1),  # no idle time left
        (4000, 0.1, 8, 2),  # memory for two
        (9500, 0.1, 8, 1),  # more than one does not fit, one runs anyway
        (500, 0.05, 4, 4),  # the bound
        (500, 0.0, 4, 4),
    ],
)
def test_memory_and_idle_time_decide(used, busy, at_most, expected):
    assert side_by_side([reading(used, busy)], at_most) == expected


def test_the_driver_is_asked_about_the_device_of_this_job(tmp_path, monkeypatch):
    fake = tmp_path / "nvidia-smi"
    fake.write_text('#!/bin/sh\necho "$@" > "$0.asked"\necho "1234, 81559, 42, [N/A]"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert read_gpu() == Reading(1234.0, 81559.0, 0.42, None)
    assert "--id=3" in (tmp_path / "nvidia-smi.asked").read_text()
    fake.write_text("#!/bin/sh\necho no devices were found\nexit 6\n")
    assert read_gpu() is None


def test_a_probe_waits_until_the_first_run_is_at_work(monkeypatch):
    now = 100.0
    monkeypatch.setattr(gpu.time, "monotonic", lambda: now)
    monkeypatch.setattr(gpu.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    probe = Probe(8, certain=False)
    probe.take(reading(100, 0.0), threads=1)  # still starting: says nothing
    now += gpu.PROBE_SECONDS * 0.9
    probe.take(reading(1000, 0.5), threads=1)
    assert probe.at_once == 1
    now += gpu.PROBE_SECONDS
    probe.take(reading(1000, 0.5), threads=1)
    assert probe.at_once == 2


def test_without_a_device_runs_follow_each_other():
    probe = Probe(8, certain=False)
    probe.take(None, threads=1)
    assert probe.at_once == 1
    assert Probe(3, certain=True).at_once == 3
