"""`tokenmix why`: what of a target is stale, what made it so, and how many hours of GPU follow."""

import argparse
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tokenmix.files import pretty_json
from tokenmix.reporting.provenance.why import Reason, Why, explain
from tokenmix.study.cost import basis
from tokenmix.study.load import load_config
from tokenmix.study.plan import resolve

#: names of stale things that one line shows
_SHOWN = 3
_NOUNS = {"run": "runs", "data": "data sets", "file": "files"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix why`."""
    parts = "tables, figures, values, claims, pdf, report, archive, or all"
    parser.add_argument("target", metavar="TARGET", help=f"a table, a figure, a run, a data set, {parts}")
    parser.add_argument("--study", help="overlay of workflow/studies, or full; default: config.yaml's")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(args: argparse.Namespace) -> None:
    """Hold config and code as they are now against what was computed; writes nothing."""
    found = explain(resolve(load_config(Path.cwd(), study=args.study), Path.cwd()), args.target)
    if args.json:
        print(pretty_json(found.as_dict()), end="")
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        for line in _lines(found):
            Console().print(Text(line, style="" if line.startswith(" ") else "bold"), soft_wrap=True)
    else:
        print("\n".join(_lines(found)))


def _lines(found: Why) -> Iterator[str]:
    if not found.reasons:
        yield f"{found.target}: settings, code and data are those that it was made with ({found.runs} runs)"
    # several causes may make the same things stale, which are listed once
    for stale, reasons in groupby(found.reasons, lambda reason: reason.stale):
        for reason in reasons:
            where = f" ({reason.where})" if reason.where else ""
            yield f"{reason.text}{where}: {_count(reason)}"
        yield from (f"  {name}" for name in stale[:_SHOWN])
        if len(stale) > _SHOWN:
            yield f"  and {len(stale) - _SHOWN} more"
    if found.unknown:
        yield f"not on record how they were made: {len(found.unknown)} files, such as {found.unknown[0]}"
    if found.cost.runs:
        cost = found.cost
        hours = (
            f"{cost.gpu_hours:.3g} GPU-hours ({basis(cost.gpu_sources)}), or {cost.cpu_core_hours:.3g} "
            f"hours of one CPU core ({basis(cost.cpu_sources)})"
        )
        yield f"to train: {cost.runs} of {found.runs} runs, roughly {hours}"
    else:
        yield "to train: nothing"


def _count(reason: Reason) -> str:
    return f"{len(reason.stale)} {_NOUNS[reason.kind] if len(reason.stale) > 1 else _NOUNS[reason.kind][:-1]}"
