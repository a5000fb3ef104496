"""What a finished run leaves behind: weights, history, predictions, and the attestation `run.json`."""

import csv
import datetime
import importlib.metadata
import io
import os
import platform
import resource
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors

from tokenmix.files import read_json
from tokenmix.training.lease import process_start
from tokenmix.training.plan import TrainingPlan

HISTORY = (
    "epoch",
    "iteration",
    "lr",
    "train_loss",
    "val_loss",
    "val_accuracy",
    "val_balanced_accuracy",
    "val_f1_macro",
    "selected",
)
LIBRARIES = ("llvmlite", "numba", "numpy", "safetensors", "timm", "torch")


def weights_file(weights: Mapping[str, torch.Tensor]) -> bytes:
    """The chosen weights as safetensors."""
    return save_tensors({name: tensor.cpu().contiguous() for name, tensor in weights.items()})


def history_file(history: Sequence[Mapping[str, Any]], selected_epoch: int) -> bytes:
    """One line per validation as CSV, without wall-clock columns; `selected` marks the published weights."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HISTORY, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "selected": int(row["epoch"] == selected_epoch)} for row in history)
    return text.getvalue().encode()


def predictions_file(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Scores and labels of validation and test as npz; its bytes depend on the arrays alone."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def libraries() -> dict[str, str]:
    """Versions of what computes a run."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
        **({"cuda": torch.version.cuda} if torch.version.cuda and torch.cuda.is_available() else {}),
    }


def attestation(plan: TrainingPlan, outcome: Mapping[str, Any], execution: Mapping[str, Any]) -> dict[str, Any]:
    """`run.json`: `outcome` holds rungs, status, mark, best, parameters and outputs; only `execution` differs
    between two trainings of the same run on the same device and libraries."""
    origin = plan.code_folder / "origin.json"
    git = read_json(origin) if origin.exists() else {}
    return {
        "run": plan.run,
        "spec": plan.spec,
        "hashes": plan.content["hashes"],
        "git": {key: git.get(key) for key in ("commit", "dirty", "date")},
        "libraries": libraries(),
        "execution": dict(execution),
        **outcome,
    }


def device_name(device: torch.device) -> str:
    """The name that a data sheet would use."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU {platform.machine()}"


def execution_facts(device: torch.device) -> dict[str, Any]:
    """Where this process runs and what it has needed so far."""
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device) / 2**20
    else:
        # kilobytes on Linux, bytes on macOS
        unit = 2**20 if sys.platform == "darwin" else 2**10
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return {
        "host": socket.gethostname(),
        "device": device_name(device),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "peak_memory_mb": round(peak),
        "ended": now(),
    }


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def seconds_since_start(moment: float | None) -> float | None:
    """Seconds from the start of this process to a `time.time()`, or None where the system does not tell."""
    ticks = process_start(os.getpid())
    if moment is None or ticks is None or not ticks.isdigit():
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
    return round(age - (time.time() - moment), 3)
