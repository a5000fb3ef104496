"""`tokenmix status`: which runs of a study wait, run, are done or failed, once or as a live view."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenmix.files import pretty_json
from tokenmix.study.newest import newest_index
from tokenmix.training.status import STATES, RunStatus, StudyStatus, look

if TYPE_CHECKING:
    from rich.console import Group

LOGS = Path("logs") / "train"
#: seconds between two looks of the live view
REFRESH = 2.0
COLOURS = {
    "running": "cyan",
    "silent": "yellow",
    "failed": "red",
    "diverged": "magenta",
    "queued": "default",
    "done": "green",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix status`."""
    parser.add_argument("--study", help="overlay of workflow/studies, or full; default: config.yaml's")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document for programs")
    form.add_argument("--watch", action="store_true", help="look again every two seconds, until Ctrl-C")


def run(args: argparse.Namespace) -> None:
    """Print the state of the runs of the study's newest plan; writes nothing."""
    if args.watch:
        _watch(args.study)
        return
    found = look(newest_index(Path.cwd(), args.study), LOGS)
    if args.json:
        print(pretty_json(as_json(found)), end="")
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(_view(found))
    else:
        print("\n".join(_lines(found)))


def as_json(found: StudyStatus) -> dict[str, Any]:
    """The study, its newest plan, runs by state, and each run."""
    runs = {run.run: run.as_dict() for run in found.runs}
    return {"study": found.study, "plan": str(found.index), "counts": found.counts, "runs": runs}


def _watch(study: str | None) -> None:
    from rich.live import Live

    try:
        with Live(auto_refresh=False) as live:
            while True:
                # the study may be planned anew in the meantime
                live.update(_view(look(newest_index(Path.cwd(), study), LOGS)), refresh=True)
                time.sleep(REFRESH)
    except KeyboardInterrupt:
        pass


def _summary(found: StudyStatus) -> str:
    counts = ", ".join(f"{number} {state}" for state, number in found.counts.items() if number)
    return f"study {found.study}, {len(found.runs)} runs: {counts}"


def _lines(found: StudyStatus) -> Iterator[str]:
    yield _summary(found)
    for run in found.runs:
        yield "  ".join([f"  {run.state:<8}", run.run, *_details(run)])
        yield from (f"{'':<12}{line}" for line in run.log)


def _details(run: RunStatus) -> Iterator[str]:
    for _, text in _columns(run):
        if text:
            yield text
    if run.reason:
        yield run.reason


def _columns(run: RunStatus) -> Iterator[tuple[str, str]]:
    """Heading and text of what is known of a run under way."""

    def shown(name: str, form: str) -> str:
        value = run.number(name)
        return "" if value is None else form.format(value)

    epoch, loss, score = shown("epoch", "epoch {:.0f}"), shown("loss", "loss {:.4f}"), shown("score", "{:.4f}")
    left = run.number("seconds_left") if run.state == "running" else None
    speed = shown("images_per_second", "{:.0f} images/s") if run.state == "running" else ""
    yield "epoch", f"{epoch} of {run.number('epochs') or 0:.0f}" if epoch else ""
    yield "training loss", loss
    yield "last validation", f"{run.facts.get('selection')} {score}" if score else ""
    yield "speed", speed
    yield "left", f"{timedelta(seconds=round(left))} left" if left is not None else ""
    yield "host", run.host


def _view(found: StudyStatus) -> "Group":
    """Counts by data set, then every run under way, then what needs a look."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    present = [state for state in STATES if found.counts[state]]
    counts: dict[str, Counter[str]] = {}
    for run in found.runs:
        counts.setdefault(run.run.partition(".")[0], Counter())[run.state] += 1
    overview = Table()
    overview.add_column("data set")
    for state in present:
        overview.add_column(state, style=COLOURS[state], justify="right")
    for name, of_set in counts.items():
        overview.add_row(Text(name), *(str(of_set[state] or "") for state in present))
    parts: list[Any] = [Text(_summary(found), style="bold"), overview]
    running = [run for run in found.runs if run.state == "running"]
    if running:
        table = Table()
        table.add_column("running", overflow="fold", style=COLOURS["running"])
        for heading, _ in _columns(running[0]):
            table.add_column(heading)
        for run in running:
            table.add_row(Text(run.run), *(Text(text) for _, text in _columns(run)))
        parts.append(table)
    for state in ("silent", "failed", "diverged"):
        for run in (run for run in found.runs if run.state == state):
            parts.append(Text.assemble((run.state, COLOURS[run.state]), "  ", "  ".join([run.run, *_details(run)])))
            parts += [Text(f"    {line}", style="dim") for line in run.log]
    return Group(*parts)
