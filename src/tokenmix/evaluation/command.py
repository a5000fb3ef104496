"""`tokenmix evaluate`: metrics, intervals and comparisons of one data set's runs."""

import argparse
from pathlib import Path

from tokenmix.evaluation.cells import CELL_COLUMNS, PAIR_COLUMNS, RUN_COLUMNS, evaluate
from tokenmix.evaluation.confusion import CONFUSION_COLUMNS, confusion
from tokenmix.evaluation.predictions import load_runs
from tokenmix.files import write_atomic
from tokenmix.rows import records_text
from tokenmix.study.index_file import read_index


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix evaluate`."""
    parser.add_argument("--plan", type=Path, required=True, metavar="INDEX", help="study index, in the plan folder")
    parser.add_argument("--dataset", required=True, metavar="KEY", help="data set and size, such as breastmnist-28")
    parser.add_argument("--table", metavar="NAME", help="only the runs of this table (default: every run)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder of the files")


def run(args: argparse.Namespace) -> None:
    """Write KEY.csv (runs), .cells.csv (means over seeds), .pairs.csv (differences of cells) and .confusion.csv.

    KEY.sha256 has the checksums of the attestations behind them, with paths from the folder of results, as
    `sha256sum --check` reads them.
    """
    settings = read_index(args.plan)["evaluation"]
    data = load_runs(args.plan, args.dataset, args.table)
    runs, cells, pairs = evaluate(
        data, settings["bootstrap"], settings["seed"], settings["level"], settings["correction"]
    )
    write_atomic(args.out / f"{args.dataset}.csv", records_text(RUN_COLUMNS, runs))
    write_atomic(args.out / f"{args.dataset}.cells.csv", records_text(CELL_COLUMNS, cells))
    write_atomic(args.out / f"{args.dataset}.pairs.csv", records_text(PAIR_COLUMNS, pairs))
    write_atomic(args.out / f"{args.dataset}.confusion.csv", records_text(CONFUSION_COLUMNS, confusion(data)))
    attested = "".join(f"{run.attestation}  runs/{run.run}/run.json\n" for run in data.runs)
    write_atomic(args.out / f"{args.dataset}.sha256", attested)
    print(f"{args.dataset}: {len(data.runs)} runs, {data.cases} test cases, {settings['bootstrap']} resamples")
