"""Packs: short trainings that share one job, so that a cluster is not asked for a GPU every few minutes.

The head process packs the runs that are not finished and freezes each pack under a name made of its content.
A finished run stays with the pack that trained it: to Snakemake its inputs never change.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import pretty_json, sha256_file, write_atomic
from tokenmix.study.code import DIGITS
from tokenmix.study.cost import estimate
from tokenmix.study.refusals import refusals_told
from tokenmix.study.tolerant import read_object

#: runs side by side at most on one GPU, where the config leaves the number to a probe
PROBED_AT_MOST = 4
#: a share of a pack that is spread over the others: all workers but one would wait for one more pack at the end
TRIFLE = 0.25


@refusals_told()
def freeze_packs(index: Mapping[str, Any], root: Path, workers: int) -> Path:
    """Pack the unfinished runs of a frozen study; returns the file that names each run's pack.

    workers: jobs that can train at the same time on this machine, 1 on a cluster, where packs are as long as
    the config allows. Raises UserError where results cannot be written.
    """
    results = root / index["results"]
    finished, packs = finished_runs(results, index["runs"]), {}
    for run, pack in finished.items():
        if pack and receipt(results, pack).is_file():
            packs[run] = pack
    waiting = {run: entry for run, entry in index["runs"].items() if run not in finished}
    execution = index["execution"]
    at_most = execution["runs_at_once"]
    if at_most == "auto":
        at_most = PROBED_AT_MOST if execution["needs_gpu"] else 1
    for runs in arrange(waiting, execution["pack_minutes"], workers, gpu=execution["needs_gpu"]):
        content = {
            "runs": runs,
            "code": index["packer"],
            "threads": waiting[runs[0]]["threads"],
            "probe": execution["runs_at_once"] == "auto",
            "at_most": min(at_most, len(runs)),
        }
        name = _short(pretty_json(content))
        packs.update(dict.fromkeys(runs, name))
        try:
            # a receipt of an earlier call: runs of it failed, and are tried again now
            receipt(results, name).unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"cannot remove {receipt(results, name)}: {error.strerror}; make it writable") from error
        _write(pack_file(results, name), pretty_json(content))
    text = json.dumps(packs, indent=1, sort_keys=True) + "\n"
    path = results / "plan" / "packs" / f"{index['study']}.{_short(text)}.json"
    _write(path, text)
    return path


def arrange(runs: Mapping[str, Mapping[str, Any]], minutes: float, workers: int, *, gpu: bool) -> list[list[str]]:
    """Runs of the study index as packs of about `minutes`, the longest runs of a pack first.

    A pack's runs share data set and number of threads. Where the machine has workers to spare there are more
    and shorter packs: two for each worker, so that none waits long for the last one.
    """
    cost = {run: _minutes(entry, gpu) for run, entry in runs.items()}
    groups: dict[tuple[Any, ...], list[str]] = {}
    for run, entry in runs.items():
        groups.setdefault((entry["data_folder"], entry["threads"]), []).append(run)
    total = sum(cost.values())
    packs = []
    for group in groups.values():
        load = sum(cost[run] for run in group)
        wanted = load / minutes if workers == 1 else max(load / minutes, 2 * workers * load / total)
        packs += _balance(group, cost, min(len(group), max(1, math.ceil(wanted - TRIFLE))))
    return packs


def finished_runs(results: Path, runs: Iterable[str]) -> dict[str, str | None]:
    """The runs whose artefacts are whole in the store, with the pack that trained them (None: trained alone)."""
    found: dict[str, str | None] = {}
    for run in runs:
        if _is_whole(results, run):
            found[run] = read_object(results / "store" / run / "packed.json").get("pack")
    return found


def _is_whole(results: Path, run: str) -> bool:
    """Whether the artefacts are what they were when the run finished; where they are published that was seen to."""
    store, published = results / "store" / run, results / "runs" / run
    checksums = read_object(store / "finished.json")
    return bool(checksums) and (
        all((published / name).is_file() for name in checksums)
        or all((store / name).is_file() and sha256_file(store / name) == wanted for name, wanted in checksums.items())
    )


def pack_file(results: Path, pack: str) -> Path:
    """What a pack's job reads."""
    return results / "plan" / "packs" / f"{pack}.json"


def receipt(results: Path, pack: str) -> Path:
    """What a pack's job leaves when it is done with all of its runs."""
    return results / "packed" / f"{pack}.json"


def _minutes(entry: Mapping[str, Any], gpu: bool) -> float:
    cost = estimate([entry])
    return 60 * (cost.gpu_hours if gpu else cost.cpu_core_hours)


def _balance(runs: list[str], cost: Mapping[str, float], count: int) -> list[list[str]]:
    """Split into `count` packs of nearly equal cost: each run, the longest first, to the lightest pack."""
    packs: list[list[str]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for run in sorted(runs, key=lambda run: -cost[run]):
        lightest = loads.index(min(loads))
        packs[lightest].append(run)
        loads[lightest] += cost[run]
    return packs


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _write(path: Path, text: str) -> None:
    if not path.is_file():
        write_atomic(path, text)
