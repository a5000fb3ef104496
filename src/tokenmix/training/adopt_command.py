"""`tokenmix adopt`: after an edit of code, prove run by run that it changes nothing, and keep what is finished."""

import argparse
import sys
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.study.grammar import nearest
from tokenmix.study.load import load_config
from tokenmix.study.plan import Plan, freeze
from tokenmix.training.adopt import adopt, candidates
from tokenmix.training.proof import STEPS, Candidate, prove

DETAILS = """
A code that was edited makes all runs that reach it stale. Where a run was finished with the old code, on the same
data, this runs the old and the new code side by side: the first N steps of the run, a miniature of it with
validation and published files, and the predictions of its finished weights. Every byte must be equal; then the run
is kept under its new name, and its run.json records the proof. The proof sees what an edit changes in these steps
and in this miniature, on this device and with these libraries; an edit that acts only later in a run it cannot see.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix adopt`."""
    parser.description = f"{parser.description}. {DETAILS}"
    parser.add_argument("name", nargs="?", metavar="RUN", help="a run of the study; default: all that can be adopted")
    parser.add_argument("--study", help="overlay of workflow/studies, or full; default: config.yaml's")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help=f"steps to compare (default: {STEPS})")


def run(args: argparse.Namespace) -> None:
    """Freeze the study as it is now, then prove and adopt; exit code 2 where a run is refused."""
    if args.steps < 1:
        raise UserError(f"--steps is {args.steps}; give at least 1")
    root = Path.cwd()
    plan = freeze(load_config(root, study=args.study), root)
    wanted = list(candidates(plan))
    if args.name is not None:
        wanted = [_named(args.name, plan, wanted)]
    if not wanted:
        print("no run of the study is finished under other code only: nothing to adopt")
    refused = 0
    for number, candidate in enumerate(wanted, start=1):
        print(f"[{number}/{len(wanted)}] {candidate.run.id}: comparing with {candidate.earlier}", file=sys.stderr)
        try:
            proof = prove(plan, candidate, args.steps)
            adopt(plan, candidate, proof)
        except UserError as error:
            if len(wanted) == 1:
                raise
            refused += 1
            print(f"refused: {error}", file=sys.stderr)
        else:
            print(f"adopted: {candidate.run.id} from {candidate.earlier} ({proof.steps} steps, {proof.digest[:8]})")
    if refused:
        raise UserError(f"{refused} of {len(wanted)} runs are not adopted, as said above; they will be trained again")


def _named(name: str, plan: Plan, found: list[Candidate]) -> Candidate:
    if name not in plan.runs:
        raise UserError(f"the study {plan.content['study']} has no run {name}{nearest(name, plan.runs)}")
    for candidate in found:
        if candidate.run.id == name:
            return candidate
    if (plan.results / "runs" / name / "run.json").is_file():
        raise UserError(f"{name} is finished itself; there is nothing to adopt")
    raise UserError(f"no run of the same settings and data as {name} is finished under other code; train it")
