"""Twelve short runs: one pack with a warm parent against a fresh process for each run; two cores, `xs` at 28.

    python -m benchmarks.packs [--runs 12] [--steps 8 30 50 100]

Without packs a training job is one process, which has the device to itself: processes follow each other. They are
measured so, and, as the harder comparison, two at a time as in the pack, where only start-up is left to save. Asked:
2.5 times the runs an hour of a process for each run, and less than a fifth of the pack's time spent on start-up. The
shorter the runs, the larger both are: for long ones the gain tends to what two cores do more than one. So both must
hold for one length of run. All ways must leave the same bytes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.start_up import write_project

MODELS = ("xs-tttt-pooling3", "xs-tttt-identity", "xs-tttt-sep_conv3", "xs-tttt-random")
CORES = 2
#: asked: times the runs an hour, and the share of start-up
GAIN, START_UP = 2.5, 0.2
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def project(root: Path, runs: int, steps: int) -> list[str]:
    """Plans of so many short runs; returns their names."""
    names = []
    for number in range(runs):
        plan = write_project(root, MODELS[number % len(MODELS)])
        content = json.loads(plan.read_text())
        content["run"] = f"run{number}"
        content["spec"]["seed"] = number
        content["spec"]["training"] |= {"iterations": steps, "batch_size": 32, "validations": 2}
        plan.with_name(f"run{number}.json").write_text(json.dumps(content))
        names.append(f"run{number}")
    return names


def fresh(root: Path, names: list[str], at_once: int) -> float:
    """Wall seconds of a new process for each run, so many at a time."""

    def train(name: str) -> None:
        command = [sys.executable, "-m", "tokenmix.training", f"results/plan/{name}.json"]
        subprocess.run(command, cwd=root, env=ENVIRONMENT, check=True, capture_output=True)

    start = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(train, names))
    return time.perf_counter() - start


def packed(root: Path, names: list[str]) -> tuple[float, float]:
    """Wall seconds of one pack, and the share of them in which no child of it trained."""
    path = root / "results" / "plan" / "packs" / "pack.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"runs": names, "threads": 1, "probe": False, "at_most": CORES}))
    command = [sys.executable, "-m", "tokenmix.training.pack", str(path), "--receipt", "receipt.json"]
    start = time.perf_counter()
    subprocess.run(command, cwd=root, env=ENVIRONMENT, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    worked = 0.0
    for name in names:
        execution = json.loads((root / "results" / "store" / name / "run.json").read_text())["execution"]
        worked += execution["seconds"]
    return seconds, 1 - worked / (CORES * seconds)


def weights(root: Path, names: list[str]) -> list[bytes]:
    """What the runs learned."""
    return [(root / "results" / "store" / name / "model.safetensors").read_bytes() for name in names]


def main() -> int:
    """Measure all ways for each length of run; exit code 1 where no length has both the gain and the start-up asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--steps", type=int, nargs="+", default=[8, 30, 50, 100])
    arguments = parser.parse_args()
    met = []
    compare(CORES, 2)  # fills the caches of the disk
    for steps in arguments.steps:
        serial, parallel, together, start_up = compare(arguments.runs, steps)
        print(
            f"{arguments.runs} runs of {steps:3d} steps of 32 images: one pack {together:5.1f} s, "
            f"{100 * start_up:.0f} % of it start-up (asked: below {100 * START_UP:.0f}); a process each, one by one "
            f"{serial:5.1f} s: {serial / together:.2f} times the runs an hour (asked: {GAIN}); {CORES} at a time "
            f"{parallel:5.1f} s: {parallel / together:.2f} times",
            flush=True,
        )
        if serial / together >= GAIN and start_up < START_UP:
            met.append(steps)
    print(f"both as asked: at {' and '.join(map(str, met)) or 'none of these numbers of'} steps")
    return int(not met)


def compare(runs: int, steps: int) -> tuple[float, float, float, float]:
    """Seconds of a process each, one after another and side by side, of one pack, and the share of its start-up."""
    seconds, learned = [], []
    for way in (1, CORES, None):
        with tempfile.TemporaryDirectory() as folder:
            names = project(Path(folder), runs, steps)
            if way:
                seconds.append(fresh(Path(folder), names, way))
            else:
                together, start_up = packed(Path(folder), names)
            learned.append(weights(Path(folder), names))
    assert learned[0] == learned[1] == learned[2], "the bytes differ"
    return *seconds, together, start_up


if __name__ == "__main__":
    sys.exit(main())
