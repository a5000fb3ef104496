"""Start of a training to its first step, from a plan file, on the working tree's code; at most 7 s on two cores.

    python -m benchmarks.start_up [--repeats 3] [--models xs-tttt-pooling3 ...]

Prints for each model the seconds from the start of the process to the end of its first step (import of torch
included), as the median of some repeats, next to a bare `import torch`. The last line is the first run of local
attention after an edit of its code, which compiles its kernels.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LIMIT = 7.0
MODELS = ("xs-tttt-pooling3", "s12-tttt-pooling3", "s12-tttt-local_attn3", "s12-tttt-random")
COMPILED = "s12-tttt-local_attn3"
HASHES = {"spec": "0" * 64, "data": "0" * 64, "code": "0" * 64}
TRAINING = {
    "iterations": 1,
    "batch_size": 128,
    "accumulation": 1,
    "lr": 1e-3,
    "weight_decay": 0.01,
    "warmup_epochs": 0,
    "warmup_lr": 1e-5,
    "min_lr": 1e-5,
    "label_smoothing": 0.1,
    "class_weights": "sqrt_inverse",
    "affine_std": 0.1,
    "precision": "fp32",
    "threads": 1,
    "compile": False,
    "channels_last": True,
    "selection": "f1_macro",
}


def write_project(root: Path, model: str) -> Path:
    """A data set of 128 images at 28 pixels and the plan of a run of one step; returns the plan."""
    chance = np.random.default_rng(0)
    data = root / "data"
    data.mkdir(exist_ok=True)
    n = {"train": 128, "val": 8, "test": 8}
    for split, cases in n.items():
        np.save(data / f"{split}_images.npy", chance.integers(0, 256, (cases, 28, 28, 3), dtype=np.uint8))
        np.save(data / f"{split}_labels.npy", np.arange(cases) % 2)
    counts = {split: {"a": cases // 2, "b": cases // 2} for split, cases in n.items()}
    card = {
        "size": 28,
        "task": "binary",
        "classes": ["a", "b"],
        "channels": 3,
        "dimensions": 2,
        "n": n,
        "counts": counts,
    }
    (data / "card.json").write_text(json.dumps({**card, "mean": [0.5] * 3, "std": [0.3] * 3, "hash": HASHES["data"]}))
    spec = {
        "dataset": "noise",
        "size": 28,
        "model": model,
        "init": "scratch",
        "seed": 0,
        "training": TRAINING,
    }
    plan = {
        "run": model,
        "spec": {**spec, "model_options": {}},
        "rungs": [{"mark": ""}],
        "hashes": HASHES,
        "data": {"hash": HASHES["data"], "folder": "data"},
        "code": {"hash": HASHES["code"], "folder": "results/code/00000000"},
    }
    path = root / "results" / "plan" / f"{model}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plan))
    return path


def first_step(model: str, compiled_before: bool = True) -> float:
    """Seconds from the start of a training process to the end of its first step."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plan = write_project(root, model)
        environment = os.environ if compiled_before else {**os.environ, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-m", "tokenmix.training", plan]
        subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)
        run = json.loads((root / "results" / "runs" / model / "run.json").read_text())
        return run["execution"]["first_step_seconds"]


def import_torch() -> float:
    """Seconds that a process needs to import torch and nothing else."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch"], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return time.monotonic() - started


def main() -> int:
    """Measure and print; exit code 1 when a median is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=MODELS)
    arguments = parser.parse_args()
    import_torch()  # fills the file cache
    print(f"import torch{'':<30} {statistics.median(import_torch() for _ in range(arguments.repeats)):6.2f} s")
    slow = False
    cases = [(model, model, True) for model in arguments.models]
    for name, model, compiled_before in [*cases, (f"{COMPILED}, compiling", COMPILED, False)]:
        seconds = statistics.median(first_step(model, compiled_before) for _ in range(arguments.repeats))
        slow |= seconds > LIMIT
        print(f"first step {name:<31} {seconds:6.2f} s  (limit {LIMIT:.0f} s)")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
