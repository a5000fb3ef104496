"""`tokenmix plan`: the runs of a study by table, which exist, which are stale, and what made them so."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenmix.files import pretty_json
from tokenmix.study.load import load_config
from tokenmix.study.plan import Plan, resolve
from tokenmix.study.stale import RunState, states

COLOURS = {"exists": "green", "stale": "yellow", "missing": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix plan`."""
    parser.add_argument("--study", help="overlay of workflow/studies, or full; default: config.yaml's")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(args: argparse.Namespace) -> None:
    """Print the state of every run; writes nothing."""
    plan = resolve(load_config(Path.cwd(), study=args.study), Path.cwd())
    found = states(plan)
    if args.json:
        print(pretty_json(as_json(plan, found)), end="")
    elif sys.stdout.isatty():
        _print_rich(plan, found)
    else:
        print("\n".join(_lines(plan, found)))


def as_json(plan: Plan, found: list[RunState]) -> dict[str, Any]:
    """Study, state of each run, runs of each table, and models that compute the same function."""
    return {
        "study": plan.content["study"],
        "runs": {state.run: state.as_dict() for state in found},
        "tables": {name: [state.run for state in of_table] for name, of_table in _by_table(plan, found)},
        "coinciding": dict(_coinciding(plan)),
    }


def _by_table(plan: Plan, found: list[RunState]) -> Iterator[tuple[str, list[RunState]]]:
    for table in plan.content["tables"]:
        yield table, [state for state in found if table in plan.runs[state.run].run.tables]


def _coinciding(plan: Plan) -> Iterator[tuple[str, list[list[str]]]]:
    for key, entry in plan.content["datasets"].items():
        if entry["coinciding"]:
            yield key, entry["coinciding"]


def _summary(found: list[RunState]) -> str:
    counts = Counter(state.state for state in found)
    parts = [f"{counts['exists']} exist", f"{counts['stale']} stale", f"{counts['missing']} missing"]
    return f"{len(found)} runs: {', '.join(parts)}"


def _reasons(state: RunState) -> str:
    """Why a run is stale: fields and data as they are, modules together."""
    others = [str(difference) for difference in state.differences if difference.kind != "code"]
    modules = [str(difference) for difference in state.differences if difference.kind == "code"]
    return "; ".join([*others, f"code: {', '.join(modules)}"] if modules else others)


def _notes(plan: Plan) -> Iterator[str]:
    for key, groups in _coinciding(plan):
        for group in groups:
            yield f"note: on {key} these compute the same function: {', '.join(group)}"


def _lines(plan: Plan, found: list[RunState]) -> Iterator[str]:
    yield f"study {plan.content['study']}, {_summary(found)}"
    for table, of_table in _by_table(plan, found):
        yield ""
        yield f"{table}, {_summary(of_table)}"
        for state in of_table:
            reasons = f"  {_reasons(state)}" if state.differences else ""
            yield f"  {state.state:<7}  {state.run}{reasons}"
    notes = list(_notes(plan))
    yield from ["", *notes] if notes else []


def _print_rich(plan: Plan, found: list[RunState]) -> None:
    # rich takes a tenth of a second to import: only where a person looks on
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for name, of_table in _by_table(plan, found):
        table = Table(title=f"{name}, {_summary(of_table)}", title_justify="left", expand=False)
        table.add_column("state")
        table.add_column("run", overflow="fold")
        table.add_column("what changed since the last run of its cell", overflow="fold")
        for state in of_table:
            table.add_row(Text(state.state, COLOURS[state.state]), Text(state.run), Text(_reasons(state)))
        console.print(table)
    for note in _notes(plan):
        console.print(Text(note))
    console.print(f"study {plan.content['study']}, {_summary(found)}")
