"""`tokenmix plan`: the runs of a study by table, which exist, which are stale and why, and what the rest will cost."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import pretty_json
from tokenmix.study.cost import Throughput, basis, estimate, has_gpu
from tokenmix.study.grammar import parse_model
from tokenmix.study.load import load_config
from tokenmix.study.plan import Plan, resolve
from tokenmix.study.stale import RunState, states
from tokenmix.study.switches import TABLE as SWITCHES

COLOURS = {"exists": "green", "stale": "yellow", "missing": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix plan`."""
    parser.add_argument("--study", help="overlay of workflow/studies, or full; default: config.yaml's")
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="GPUs, or CPU cores, that train at the same time; default: as here",
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(args: argparse.Namespace) -> None:
    """Print the state of every run; writes nothing."""
    if args.jobs is not None and args.jobs < 1:
        raise UserError(f"--jobs {args.jobs}: nothing would be trained; give 1 or more")
    plan = resolve(load_config(Path.cwd(), study=args.study), Path.cwd())
    found = states(plan)
    costs = list(_costs(plan, found, args.jobs))
    if args.json:
        print(pretty_json(as_json(plan, found, costs)), end="")
    elif sys.stdout.isatty():
        _print_rich(plan, found, costs)
    else:
        print("\n".join(_lines(plan, found, costs)))


@dataclass(frozen=True)
class TableCost:
    """What is left to train of a table ("": of the study): hours of the device, and hours until it is done."""

    table: str
    runs: int
    device: str
    jobs: int
    hours: float
    wall_hours: float
    basis: str

    def __str__(self) -> str:
        if not self.runs:
            return "nothing to train"
        unit = "core-hours" if self.device == "CPU" else "GPU-hours"
        workers = f"{self.jobs} {'cores' if self.device == 'CPU' else 'GPUs'}"
        at = f"on {workers}" if self.jobs > 1 else f"on one {'core' if self.device == 'CPU' else 'GPU'}"
        return f"{self.runs} runs, {_shown(self.hours)} {unit}, {_shown(self.wall_hours)} hours {at} ({self.basis})"


def _shown(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 1 else f"{hours:.2f}"


def _costs(plan: Plan, found: list[RunState], jobs: int | None) -> Iterator[TableCost]:
    """By table what it takes to train what does not exist; last of the whole study, where shared runs count once."""
    gpu = plan.content["execution"]["needs_gpu"] or has_gpu()
    at_once = jobs or (1 if gpu else os.cpu_count() or 1)
    throughput = Throughput.of_finished(plan.results)
    alone = {
        state.run: estimate([plan.content["runs"][state.run]], throughput) for state in found if state.state != "exists"
    }
    for table, of_table in (*_by_table(plan, found), ("", found)):
        costs = [alone[state.run] for state in of_table if state.run in alone]
        hours = [cost.gpu_hours if gpu else cost.cpu_core_hours for cost in costs]
        sources = Counter[str]()
        for cost in costs:
            sources.update(cost.gpu_sources if gpu else cost.cpu_sources)
        # a run keeps one worker busy to its end, however many there are
        wall = max(sum(hours) / at_once, *hours) if hours else 0.0
        device = "GPU" if gpu else "CPU"
        yield TableCost(table, len(costs), device, at_once, sum(hours), wall, basis(sources))


def as_json(plan: Plan, found: list[RunState], costs: list[TableCost]) -> dict[str, Any]:
    """Study, state of each run, runs of each table, models that compute the same function, costs."""
    return {
        "study": plan.content["study"],
        "runs": {state.run: state.as_dict() for state in found},
        "tables": {name: [state.run for state in of_table] for name, of_table in _by_table(plan, found)},
        "coinciding": dict(_coinciding(plan)),
        "costs": [asdict(cost) for cost in costs],
    }


def _by_table(plan: Plan, found: list[RunState]) -> Iterator[tuple[str, list[RunState]]]:
    compared = [SWITCHES] if plan.content["switches"] else []
    for table in [*plan.content["tables"], *compared]:
        yield table, [state for state in found if table in plan.runs[state.run].run.tables]


def _coinciding(plan: Plan) -> Iterator[tuple[str, list[list[tuple[str, str]]]]]:
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
            names = (model if init == "scratch" else f"{model} ({init})" for model, init in group)
            yield f"note: on {key} these compute the same function: {', '.join(names)}"
    cold = [name for name, run in plan.runs.items() if 0 < run.epochs <= run.spec.training["warmup_epochs"]]
    if cold:
        others = f" and {len(cold) - 1} more" if len(cold) > 1 else ""
        yield f"note: warm-up takes the whole training of {cold[0]}{others}; lower warmup_epochs or train longer"
    covered: dict[str, dict[str, set[int]]] = {}
    for run in plan.content["runs"].values():
        if run["global_stages"]:
            stages = " and ".join(map(str, run["global_stages"]))
            kernels = covered.setdefault(f"{run['dataset']}-{run['size']}", {}).setdefault(stages, set())
            kernels.add(parse_model(run["model"]).kernel or 0)
    for key, by_stages in covered.items():
        parts = (f"kernel {', '.join(map(str, sorted(by_stages[at])))} in stage {at}" for at in sorted(by_stages))
        yield f"note: on {key} windows cover whole maps: {'; '.join(parts)}"


def _cost_lines(costs: list[TableCost]) -> Iterator[str]:
    width = max(len(cost.table) for cost in costs)
    for cost in costs:
        yield f"  {cost.table or 'all':<{max(width, 3)}}  {cost}"


def _lines(plan: Plan, found: list[RunState], costs: list[TableCost]) -> Iterator[str]:
    yield f"study {plan.content['study']}, {_summary(found)}"
    for table, of_table in _by_table(plan, found):
        yield ""
        yield f"{table}, {_summary(of_table)}"
        for state in of_table:
            reasons = f"  {_reasons(state)}" if state.differences else ""
            yield f"  {state.state:<7}  {state.run}{reasons}"
    notes = list(_notes(plan))
    yield from ["", *notes] if notes else []
    yield from ["", "left to train:", *_cost_lines(costs)]


def _print_rich(plan: Plan, found: list[RunState], costs: list[TableCost]) -> None:
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
    for line in ("left to train:", *_cost_lines(costs)):
        console.print(Text(line))
    console.print(f"study {plan.content['study']}, {_summary(found)}")
