"""What a study costs, roughly, before any of it ran."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmix.study.manifest import load_manifest

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
    """An estimate: hours of one core of this machine and hours of one GPU, and for how many runs each was measured."""

    runs: int
    cpu_core_hours: float
    gpu_hours: float
    measured_on_cpu: int = 0
    measured_on_gpu: int = 0


class Throughput:
    """Images a second of training, by kind of device (cpu, per core, or gpu), model, size and dimensions of images."""

    def __init__(self, rates: Mapping[tuple[str, str, int, int], Sequence[float]]) -> None:
        from statistics import median  # slow to import, and parsing the workflow needs none

        self._rates = {key: median(values) for key, values in rates.items()}

    @classmethod
    def of_finished(cls, results: Path) -> "Throughput":
        """As the attestations of all runs below `results` tell; those that cannot be read tell nothing."""
        rates: dict[tuple[str, str, int, int], list[float]] = {}
        # folders that users register hold images
        volumes = {name for name, entry in load_manifest().items() if entry.dimensions == 3}
        for path in (results / "runs").glob("*/run.json"):
            try:
                attested = json.loads(path.read_bytes())
                spec, execution = attested["spec"], attested["execution"]
                rate, device = float(execution["images_per_second"]), str(execution["device"])
                model, size, threads = spec["model"], spec["size"], spec["training"]["threads"]
                dimensions = 3 if spec["dataset"] in volumes else 2
            except (OSError, ValueError, TypeError, KeyError):
                continue
            if rate > 0:
                kind = "cpu" if device.startswith("CPU") else "gpu"
                for name in {model, _scale(model)}:
                    rates.setdefault((kind, name, size, dimensions), []).append(
                        rate / (threads if kind == "cpu" else 1)
                    )
        return cls(rates)

    def rate(self, kind: str, run: Mapping[str, Any]) -> float | None:
        """Of the run's model itself, else of its relatives of the same width, on images of the same size."""
        images = run["size"], run["dimensions"]
        own, relatives = (kind, run["model"], *images), (kind, _scale(run["model"]), *images)
        return self._rates.get(own) or self._rates.get(relatives)


def estimate(runs: Iterable[Mapping[str, Any]], throughput: Throughput | None = None) -> Cost:
    """The cost of training runs of the study index, from measured throughput where there is some, else from MACs."""
    number = 0
    hours, measured = {"cpu": 0.0, "gpu": 0.0}, {"cpu": 0, "gpu": 0}
    for run in runs:
        number += 1
        images = run["iterations"] * run["batch_size"] * run["accumulation"]
        for kind, speed in (("cpu", CPU_CORE_SPEED), ("gpu", GPU_SPEED)):
            rate = throughput.rate(kind, run) if throughput else None
            measured[kind] += rate is not None
            hours[kind] += images / (rate or speed / (PASSES * _macs(run))) / 3600
    return Cost(number, hours["cpu"], hours["gpu"], measured["cpu"], measured["gpu"])


def _macs(run: Mapping[str, Any]) -> float:
    """Multiply-adds of one forward pass of one image or volume, roughly."""
    known, size = (MACS_AT_224, 224) if run["dimensions"] == 2 else (MACS_OF_VOLUMES_AT_28, 28)
    return known.get(_scale(run["model"]), known["s12"]) * (run["size"] / size) ** run["dimensions"]


def _scale(model: str) -> str:
    return model.partition("-")[0]


def basis(runs: int, measured: int) -> str:
    """What an estimate rests on, in words."""
    if not measured:
        return "from multiply-adds"
    return "from measured throughput" + (f", {runs - measured} of {runs} from multiply-adds" if measured < runs else "")


def has_gpu() -> bool:
    """Whether this machine shows an NVIDIA device (asked without importing torch)."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def too_costly_here(cost: Cost, study: str) -> str:
    """The message for a study that needs a GPU on a machine without one."""
    cores = os.cpu_count() or 1
    days = cost.cpu_core_hours / cores / 24
    return (
        f"the study '{study}' is made for GPUs and this machine has none: its {cost.runs} unfinished runs would take "
        f"roughly {days:,.0f} days on {cores} CPU cores ({basis(cost.runs, cost.measured_on_cpu)}), or "
        f"{cost.gpu_hours:,.0f} GPU-hours ({basis(cost.runs, cost.measured_on_gpu)}). Use a cluster "
        "(snakemake --profile slurm all), a smaller study (--config study=demo), "
        "or go on regardless: --config execution='{needs_gpu: false}'"
    )
