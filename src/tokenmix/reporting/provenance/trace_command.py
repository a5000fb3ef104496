"""`tokenmix trace`: from a number of the paper to the runs, data, code, logs and machines that made it."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.files import pretty_json
from tokenmix.reporting.formats import short_hash
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.provenance.lookup import wanted_key
from tokenmix.reporting.provenance.trace import RunTrace, Trace, benchmark_of, trace
from tokenmix.reporting.registry import Registry
from tokenmix.study.newest import newest_index

#: runs that are shown with all they have; of more, each is one line
_IN_FULL = 3
#: (depth, name, text)
Line = tuple[int, str, str]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix trace`."""
    parser.add_argument(
        "name",
        nargs="+",
        metavar="KEY | TABLE MODEL DATASET METRIC [INIT]",
        help="a key of values.json, or a cell of a table; short forms such as local_attn5 and breastmnist will do",
    )
    parser.add_argument("--study", help="overlay of workflow/studies, or full; default: config.yaml's")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(args: argparse.Namespace) -> None:
    """Print the chain of one value; UserError where a link of it is missing or was changed."""
    if len(args.name) > 5:
        raise UserError(f"{len(args.name)} words were given; give KEY, or TABLE MODEL DATASET METRIC [INIT]")
    study = Study.open(newest_index(Path.cwd(), args.study))
    registry = Registry.read(study.paper / "values.json")
    found = trace(study, registry, wanted_key(study, registry, args.name))
    if args.json:
        print(pretty_json(found.as_dict()), end="")
    elif sys.stdout.isatty():
        _print_rich(found)
    else:
        print("\n".join(f"{'  ' * depth}{name:<{16 - 2 * depth}}{text}" for depth, name, text in _lines(found)))
    if found.problems:
        raise UserError("the chain is broken:\n" + "\n".join(f"  {problem}" for problem in found.problems))


def _lines(found: Trace) -> Iterator[Line]:
    value = found.value
    unit, n = f" {value.unit}" if value.unit else "", f", n = {value.n}" if value.n is not None else ""
    yield 0, "value", f"{found.key} = {value.value}{unit}, printed as {value.text} (format {value.format}{n})"
    yield 1, "how", value.how
    yield 1, "rule", value.rule
    yield 1, "config", value.config or "default"
    yield from ((1, "file", file) for file in found.files)
    if found.log:
        yield 1, "log", found.log
    for run in found.runs:
        yield 1, "run", f"{run.run}, seed {run.seed}, {run.status}, {run.ended or 'no date'}"
        if len(found.runs) <= _IN_FULL and run.attestation:
            yield from _run_lines(run)
    if len(found.runs) > _IN_FULL:
        yield 1, "", f"{len(found.runs)} runs; --json shows all of each"
    if found.outdated:
        runs = f"{len(found.outdated)} of {len(found.runs)} runs"
        yield 0, "outdated", f"the newest plan has other runs in place of {runs}; `tokenmix why pdf` says what changed"
    if found.unchecked:
        yield 0, "unchecked", found.unchecked
    yield 0, "again", found.command


def _run_lines(run: RunTrace) -> Iterator[Line]:
    checksums = ", ".join(f"{name} {text}" for name, text in sorted(run.data_source.items()))
    commit = short_hash(run.commit) + (" (edited)" if run.edited else "")
    measured = benchmark_of(run)
    facts = f", {measured['s']} s, {measured['max_rss_mb']} MB" if {"s", "max_rss_mb"} <= measured.keys() else ""
    yield 2, "predictions", f"{run.predictions} (sha256 {short_hash(run.predictions_sha256)})"
    yield 2, "attested", run.attestation
    yield 2, "spec", f"{short_hash(run.spec)} {run.plan}"
    yield 2, "data", f"{short_hash(run.data)} {run.data_folder}" + (f" (source {checksums})" if checksums else "")
    if run.weights:
        yield 2, "weights", ", ".join(f"{name} {text}" for name, text in sorted(run.weights.items()))
    yield 2, "code", f"{short_hash(run.code)} {run.code_folder}, commit {commit}"
    yield 2, "log", run.log or "none"
    yield 2, "benchmark", f"{run.benchmark}{facts}" if run.benchmark else "none"
    yield 2, "host", f"{run.host}, {run.device}" + (f", {run.seconds:.0f} s" if run.seconds is not None else "")
    if run.command:
        yield 2, "again", run.command


def _print_rich(found: Trace) -> None:
    # rich takes a tenth of a second to import: only where a person looks on
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    (_, _, head), *rest = _lines(found)
    root = Tree(Text(head, style="bold"))
    branches = {0: root}
    for depth, name, text in rest:
        parent = branches[max(0, depth - 1)]
        style = {"again": "green", "outdated": "yellow", "unchecked": "yellow"}.get(name, "cyan")
        branches[depth or 1] = parent.add(Text.assemble((f"{name} ", style), text, overflow="fold"))
    Console().print(root)
