"""`tokenmix audit`: train some cells again from nothing, compare, and leave a record for the PDF's colophon."""

import argparse
import math
import sys
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.provenance.audit import TOLERANCE, audit, audit_folder, pick, trained_before
from tokenmix.reporting.provenance.audited import outcome, record_file, words
from tokenmix.study.cost import estimate, has_gpu
from tokenmix.study.newest import newest_index

DETAILS = """
A cell is a model on a data set; of each one that is picked, one seed is trained again below <results>/<study>/audit.
What an earlier or an interrupted call has finished is kept: the same seed draws the same cells and trains none of them
twice, another seed draws others. Exit code 1 where a cell is not reproduced.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix audit`."""
    parser.description = f"{parser.description}. {DETAILS}"
    parser.add_argument("number", type=int, metavar="K", help="cells to audit, drawn in proportion to their cost")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (default: 0)")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help="allowed difference of each metric where device or libraries differ, so that bytes may (default: "
        f"{TOLERANCE}); where they do not, every byte has to be equal",
    )
    parser.add_argument("--study", help="overlay of workflow/studies, or full; default: config.yaml's")


def run(args: argparse.Namespace) -> int:
    """Train and compare; returns 1 where a cell is not reproduced."""
    if not (math.isfinite(args.tolerance) and args.tolerance >= 0):
        raise UserError(f"--tolerance is {args.tolerance}; give a number from 0 on")
    study = Study.open(newest_index(Path.cwd(), args.study))
    picked = pick(study, args.number, args.seed)
    kept = [run for run in picked if trained_before(study, run)]
    cost = estimate([study.index["runs"][run] for run in picked if run not in kept])
    if cost.runs and study.index["execution"]["needs_gpu"] and not has_gpu():
        raise UserError(
            f"the study {study.name} is made for GPUs and this machine has none: {cost.runs} cells would take "
            f"roughly {cost.cpu_core_hours:,.0f} hours of a CPU core; audit where it was trained"
        )
    hours = cost.gpu_hours if study.index["execution"]["needs_gpu"] else cost.cpu_core_hours
    print(f"seed {args.seed}: {cost.runs} cells to train, roughly {hours:.2g} hours", file=sys.stderr)
    if kept:
        print(
            f"an earlier audit trained {len(kept)} of the {args.number} cells, which are only compared; "
            f"another --seed draws others, and without {audit_folder(study)} all are trained anew",
            file=sys.stderr,
        )
    found = audit(study, args.number, args.seed, args.tolerance, lambda line: print(line, file=sys.stderr, flush=True))
    for audited in found:
        equal = "every byte is equal" if audited.rule == "bytes" else f"metrics agree within {args.tolerance:g}"
        differs = f"differs in {', '.join(audited.differs)}, by up to {audited.largest_difference:.3g} in a metric"
        when = " (trained by an earlier audit)" if audited.run in kept else ""
        print(f"{audited.run}: {equal if audited.reproduced else differs}{when}")
    print(f"{words(outcome(study))}; {record_file(study)}")
    print(f"into the PDF: snakemake paper --config study={study.name}")
    return 0 if all(audited.reproduced for audited in found) else 1
