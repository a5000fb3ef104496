"""`tokenmix archive`: a finished study as a bundle for arXiv or as an archive of its results, and back again."""

import argparse
import sys
from pathlib import Path

from tokenmix.reporting.inputs import Study


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what `tokenmix archive` does."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, help_text in (
        ("arxiv", "the paper's sources, figures and generated tables, which compile alone"),
        ("results", "predictions, attestations, metrics and sources with checksums, as a zipped RO-Crate"),
    ):
        action = actions.add_parser(name, help=help_text, description=help_text)
        action.add_argument("--plan", type=Path, required=True, metavar="INDEX", help="study index in the plan folder")
        action.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    help_text = "put the results of an archive where the workflow finds them finished, and print the study's name"
    action = actions.add_parser("restore", help=help_text, description=help_text)
    action.add_argument("file", type=Path, metavar="FILE", help="what `make archive` wrote as archive.zip")


def run(args: argparse.Namespace) -> None:
    """Write a bundle or an archive, or restore one."""
    if args.action == "restore":
        from tokenmix.reporting.archive.restore import restore

        study, again = restore(args.file, Path())
        print(*(f"computed again, {reason}" for reason in again), sep="\n", end="\n" * bool(again), file=sys.stderr)
        print(study)
    elif args.action == "arxiv":
        from tokenmix.reporting.archive import arxiv

        print(f"{args.out}: {len(arxiv.write(Study.open(args.plan).paper, args.out))} files")
    else:
        from tokenmix.reporting.archive import results

        print(f"{args.out}: {results.write(Study.open(args.plan), Path(), args.out)} files")
