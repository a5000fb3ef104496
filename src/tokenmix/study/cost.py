"""What a study costs, roughly, before any of it ran."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.study.manifest import load_manifest
from tokenmix.study.model_macs import has_formula, model_macs

#: Forward and backward pass together cost three forward passes.
PASSES = 3
#: Multiply-adds a second that training reaches: one CPU core (measured with S12 at 28 pixels), one data-centre GPU
#: (a guess, a tenth of what its data sheet promises in bf16).
CPU_CORE_SPEED = 2.1e10
GPU_SPEED = 1e13
#: What an estimate can rest on, in words, the best first.
MEASURED = "from measured throughput"
RELATIVES = "from measured throughput of other models"
COUNTED = "from multiply-adds"
#: behind those of a mixer whose multiply-adds are unknown
PARTLY = " without a new mixer's own"


@dataclass(frozen=True)
class Cost:
    """An estimate: hours of one core of this machine and hours of one GPU; what either rests on -> number of runs."""

    runs: int
    cpu_core_hours: float
    gpu_hours: float
    cpu_sources: Mapping[str, int]
    gpu_sources: Mapping[str, int]


@dataclass(frozen=True)
class Measurement:
    """How fast a run was trained: images a second of a GPU, or of a core of a CPU."""

    kind: str
    model: str
    size: int
    dimensions: int
    rate: float
    macs: int


class Throughput:
    """Images a second of training, by kind of device (cpu, per core, or gpu) and by model, size and dimensions."""

    def __init__(self, measured: Iterable[Measurement]) -> None:
        from statistics import median  # slow to import, and parsing the workflow needs none

        rates: dict[tuple[str, str, int, int], list[float]] = {}
        speeds: dict[tuple[str, str, int, int], list[float]] = {}
        for run in measured:
            rates.setdefault((run.kind, run.model, run.size, run.dimensions), []).append(run.rate)
            speeds.setdefault((run.kind, _scale(run.model), run.size, run.dimensions), []).append(run.rate * run.macs)
        self._rates = {key: median(values) for key, values in rates.items()}
        self._speeds = {key: median(values) for key, values in speeds.items()}

    @classmethod
    def of_finished(cls, results: Path) -> "Throughput":
        """As the attestations of all runs below `results` tell; those that cannot be read tell nothing."""
        measured = []
        manifest = load_manifest()
        for path in (results / "runs").glob("*/run.json"):
            try:
                attested = json.loads(path.read_bytes())
                spec, execution = attested["spec"], attested["execution"]
                rate, device = float(execution["images_per_second"]), str(execution["device"])
                model, size, threads = spec["model"], spec["size"], spec["training"]["threads"]
                # folders that users register hold images
                known = manifest.get(spec["dataset"])
                dimensions, channels = (known.dimensions, known.channels) if known else (2, 3)
                macs = model_macs(model, size, dimensions, channels)
            except (OSError, ValueError, TypeError, KeyError, UserError):
                continue
            if rate > 0:
                kind = "cpu" if device.startswith("CPU") else "gpu"
                per_worker = rate / (threads if kind == "cpu" else 1)
                measured.append(Measurement(kind, model, size, dimensions, per_worker, macs))
        return cls(measured)

    def rate(self, kind: str, run: Mapping[str, Any], macs: float) -> tuple[float, str] | None:
        """On images of the run's size: its model's own, else that of relatives of the same width, by their MACs."""
        images = run["size"], run["dimensions"]
        if own := self._rates.get((kind, run["model"], *images)):
            return own, MEASURED
        if speed := self._speeds.get((kind, _scale(run["model"]), *images)):
            return speed / macs, RELATIVES
        return None


def estimate(runs: Iterable[Mapping[str, Any]], throughput: Throughput | None = None) -> Cost:
    """The cost of training runs of the study index, from measured throughput where there is some, else from MACs."""
    number = 0
    hours, sources = {"cpu": 0.0, "gpu": 0.0}, {"cpu": Counter[str](), "gpu": Counter[str]()}
    for run in runs:
        number += 1
        images = run["iterations"] * run["batch_size"] * run["accumulation"]
        macs = model_macs(run["model"], run["size"], run["dimensions"], run["channels"])
        partly = "" if has_formula(run["model"]) else PARTLY
        for kind, speed in (("cpu", CPU_CORE_SPEED), ("gpu", GPU_SPEED)):
            found = throughput.rate(kind, run, macs) if throughput else None
            rate, source = found or (speed / (PASSES * macs), COUNTED)
            hours[kind] += images / rate / 3600
            sources[kind][source if source == MEASURED else source + partly] += 1
    return Cost(number, hours["cpu"], hours["gpu"], dict(sources["cpu"]), dict(sources["gpu"]))


def _scale(model: str) -> str:
    return model.partition("-")[0]


def basis(sources: Mapping[str, int]) -> str:
    """What an estimate rests on, in words."""
    order = [MEASURED, RELATIVES, RELATIVES + PARTLY, COUNTED, COUNTED + PARTLY]
    first, *others = sorted(sources, key=order.index) or [COUNTED]
    total = sum(sources.values())
    return ", ".join([first, *(f"{sources[source]} of {total} {source}" for source in others)])


def has_gpu() -> bool:
    """Whether this machine shows an NVIDIA device (asked without importing torch)."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def too_costly_here(cost: Cost, study: str) -> str:
    """The message for a study that needs a GPU on a machine without one."""
    cores = os.cpu_count() or 1
    days = cost.cpu_core_hours / cores / 24
    return (
        f"the study '{study}' is made for GPUs and this machine has none: its {cost.runs} unfinished runs would take "
        f"roughly {days:,.0f} days on {cores} CPU cores ({basis(cost.cpu_sources)}), or "
        f"{cost.gpu_hours:,.0f} GPU-hours ({basis(cost.gpu_sources)}). Use a cluster "
        "(snakemake --profile slurm all), a smaller study (--config study=demo), "
        "or go on regardless: --config execution='{needs_gpu: false}'"
    )
