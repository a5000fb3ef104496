"""What the driver tells about the GPU of this job, asked without touching the device."""

import math
import os
import subprocess
import time
from dataclasses import dataclass

#: seconds of the first run alone; the device is judged by the last third, when the run is past its start
PROBE_SECONDS = 30.0
#: share of the memory that may be filled: runs differ, and what they ask for grows at validation
MEMORY_SHARE = 0.85


@dataclass(frozen=True)
class Reading:
    """Memory in MB, the share of the time in which the device worked (0 to 1), power in watts where it tells."""

    used: float
    total: float
    busy: float
    watts: float | None


def read_gpu() -> Reading | None:
    """The first GPU that this process may use, or None where there is none that tells."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    query = "--query-gpu=memory.used,memory.total,utilization.gpu,power.draw"
    command = ["nvidia-smi", f"--id={visible}", query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        used, total, busy, watts = (_number(text) for text in done.stdout.splitlines()[0].split(","))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    if used is None or total is None or busy is None:
        return None
    return Reading(used, total, busy / 100, watts)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None  # "[N/A]"


class Probe:
    """How many runs train side by side: one until the device was seen at work, then as many as it has room for.

    at_most: upper bound. certain: the config gave that number, so nothing is probed.
    """

    def __init__(self, at_most: int, *, certain: bool) -> None:
        self.at_most = at_most
        self.at_once = at_most if certain else 1
        self._done = certain or at_most == 1
        self._began = time.monotonic()
        self._readings: list[Reading] = []

    def take(self, reading: Reading | None, threads: int) -> None:
        """A look at the device; `threads` is how many cores one run keeps busy."""
        if self._done:
            return
        if reading is None:
            self._done = True
            return
        elapsed = time.monotonic() - self._began
        if elapsed > PROBE_SECONDS * 2 / 3:
            self._readings.append(reading)
        if elapsed > PROBE_SECONDS:
            self._done = True
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            self.at_once = side_by_side(self._readings, min(self.at_most, max(1, cores // threads)))


def side_by_side(readings: list[Reading], at_most: int) -> int:
    """Runs that fit on a device which one run used like this: by memory, and until it has no idle time left."""
    used = max(reading.used for reading in readings)
    busy = sum(reading.busy for reading in readings) / len(readings)
    by_memory = int(MEMORY_SHARE * readings[0].total / max(used, 1.0))
    by_time = math.ceil(1 / max(busy, 0.01))
    return max(1, min(at_most, by_memory, by_time))
