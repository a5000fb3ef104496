"""What a study costs, roughly, before any of it ran."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Multiply-adds of one forward pass at 224 pixels (PoolFormer-S12 and ResNet18: 1.8 G as published).
#: `xs` has a sixteenth of the multiply-adds a token and four times the tokens.
MACS_AT_224 = {"s12": 1.8e9, "xs": 0.45e9, "resnet18": 1.8e9}
#: The same for volumes at 28 pixels, of grey values (counted by `tokenmix.profiling`, pooling as mixer).
MACS_OF_VOLUMES_AT_28 = {"s12": 0.115e9, "xs": 0.067e9, "resnet18": 0.386e9}
#: Forward and backward pass together cost three forward passes.
PASSES = 3
#: Multiply-adds a second that training reaches: one CPU core (measured with S12 at 28 pixels), one data-centre GPU
#: (a guess, a tenth of what its data sheet promises in bf16).
CPU_CORE_SPEED = 1.7e10
GPU_SPEED = 1e13


@dataclass(frozen=True)
class Cost:
    """A rough estimate: hours of one core of this machine, and hours of one GPU."""

    runs: int
    cpu_core_hours: float
    gpu_hours: float


def estimate(runs: Iterable[Mapping[str, Any]]) -> Cost:
    """The cost of training runs of the study index."""
    number, macs = 0, 0.0
    for run in runs:
        scale = str(run["model"]).partition("-")[0]
        images = run["iterations"] * run["batch_size"] * run["accumulation"]
        known, size = (MACS_AT_224, 224) if run["dimensions"] == 2 else (MACS_OF_VOLUMES_AT_28, 28)
        one_pass = known.get(scale, known["s12"]) * (run["size"] / size) ** run["dimensions"]
        number += 1
        macs += images * PASSES * one_pass
    return Cost(number, macs / CPU_CORE_SPEED / 3600, macs / GPU_SPEED / 3600)


def has_gpu() -> bool:
    """Whether this machine shows an NVIDIA device (asked without importing torch)."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def too_costly_here(cost: Cost, study: str) -> str:
    """The message for a study that needs a GPU on a machine without one."""
    cores = os.cpu_count() or 1
    days = cost.cpu_core_hours / cores / 24
    return (
        f"the study '{study}' is made for GPUs and this machine has none: its {cost.runs} unfinished runs would take "
        f"roughly {days:,.0f} days on {cores} CPU cores, or {cost.gpu_hours:,.0f} GPU-hours (estimated from "
        "multiply-adds). Use a cluster (snakemake --profile slurm all), a smaller study (--config study=demo), "
        "or go on regardless: --config execution='{needs_gpu: false}'"
    )
