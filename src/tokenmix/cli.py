"""The `tokenmix` command: one line a sub-command; a sub-command's module is imported only when it is called."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from tokenmix.errors import UserError, is_refusal, refused

#: name -> (module with `configure(parser)` and `run(args)`, help)
COMMANDS = {
    "plan": ("tokenmix.study.plan_command", "print the runs of a study by table: which exist, which are stale and why"),
    "status": ("tokenmix.training.status_command", "which runs of a study wait, run, are done or failed"),
    "adopt": (
        "tokenmix.training.adopt_command",
        "keep finished runs after an edit of code that provably changes nothing",
    ),
    "gc": ("tokenmix.study.gc_command", "list, or remove, runs, code and data that no study refers to"),
    "schema": (
        "tokenmix.study.schema",
        "write config.schema.json, which editors use to complete and check config.yaml",
    ),
    "data": ("tokenmix.data.command", "fetch and prepare data sets; register a folder of images"),
    "evaluate": ("tokenmix.evaluation.command", "metrics, intervals and comparisons of one data set's runs"),
    "rank": ("tokenmix.evaluation.rank_command", "wins, relative ranks and average places of one table's models"),
    "switches": ("tokenmix.evaluation.switches", "what each difference to the published protocol is worth"),
    "profile": ("tokenmix.profiling.command", "multiply-adds and parameters of a study's models"),
    "report": ("tokenmix.reporting.command", "values, tables and figures of the paper"),
    "trace": ("tokenmix.reporting.provenance.trace_command", "from a number of the paper to all that made it"),
    "diff": (
        "tokenmix.reporting.provenance.diff_command",
        "which values and claims moved since a revision or another results folder",
    ),
    "audit": ("tokenmix.reporting.provenance.audit_command", "train some cells again from nothing and compare"),
    "archive": (
        "tokenmix.reporting.archive.command",
        "a finished study as a bundle for arXiv or an archive of results, and back",
    ),
    "why": (
        "tokenmix.reporting.provenance.why_command",
        "what of a table, figure, run, data set or the PDF is stale, and why",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; a user's mistake is one message on standard error and exit code 2, Ctrl-C code 130."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="tokenmix", description="A paper about token mixers that rebuilds itself.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, help_text) in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if arguments[:1] == [name]:
            implementation = importlib.import_module(module)
            implementation.configure(command)
            command.set_defaults(run=implementation.run)
    parsed = parser.parse_args(arguments)
    try:
        return parsed.run(parsed) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except OSError as error:  # any file may be another user's
        if not is_refusal(error):
            raise
        print(f"error: {refused(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
