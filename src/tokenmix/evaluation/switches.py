"""`tokenmix switches`: what each difference to the published protocol is worth, alone and together.

The runs of each comparison are compared like those of a table, with a variant of the protocol where a table has a
model: means over seeds, and differences to the corrected protocol in resamples of the same cases.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.evaluation.cells import CELL_COLUMNS, Record, evaluate
from tokenmix.evaluation.predictions import load_runs
from tokenmix.files import write_atomic
from tokenmix.rows import records_text
from tokenmix.study.index_file import read_index

#: `difference` is that to the corrected protocol, with its interval; both are empty for the corrected protocol
SWITCH_COLUMNS = (
    "variant", *CELL_COLUMNS, "difference", "difference_low", "difference_high",
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix switches`."""
    parser.add_argument("--plan", type=Path, required=True, metavar="INDEX", help="study index, in the plan folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the CSV file")


def run(args: argparse.Namespace) -> None:
    """Write one row for each comparison, metric and variant that trains otherwise than the corrected protocol."""
    index = read_index(args.plan)
    if not index["switches"]:
        raise UserError(f"the study compares no switches; {args.plan}; name `dataset` and `model` under `switches`")
    records: list[Record] = []
    for compared in index["switches"]:
        found = list(_records(args.plan, compared, index["evaluation"]))
        variants = len({record["variant"] for record in found})
        print(f"{compared['model']} ({compared['init']}) on {compared['dataset']}: {variants} variants")
        records += found
    write_atomic(args.out, records_text(SWITCH_COLUMNS, records))


def _records(plan: Path, compared: dict[str, Any], settings: dict[str, Any]) -> Iterator[Record]:
    data = load_runs(plan, compared["dataset"], "switches")
    runs = {run.run: run for run in data.runs}
    base, *others = distinct(compared["runs"])
    variants = [replace(runs[name], model=variant) for variant in (base, *others) for name in compared["runs"][variant]]
    _, cells, pairs = evaluate(
        replace(data, runs=variants), settings["bootstrap"], settings["seed"], settings["level"], settings["correction"]
    )
    # of a pair the first is the corrected protocol, of which the second is taken away
    differences = {
        (pair["metric"], pair["model_b"]): tuple(0.0 - pair[end] for end in ("difference", "high", "low"))
        for pair in pairs
        if pair["model_a"] == base
    }
    for cell in cells:
        found = differences.get((cell["metric"], cell["model"]), ("", "", ""))
        own = {"variant": cell["model"], "model": compared["model"], "init": compared["init"]}
        record = {**cell, **own, **dict(zip(SWITCH_COLUMNS[-3:], found, strict=True))}
        yield {name: record[name] for name in SWITCH_COLUMNS}


def distinct(runs: dict[str, list[str]]) -> list[str]:
    """The variants with runs of their own, the corrected protocol first."""
    first: dict[tuple[str, ...], str] = {}
    for variant, names in runs.items():
        first.setdefault(tuple(names), variant)
    return list(first.values())
