"""`tokenmix profile`: multiply-adds and parameters of a study's models."""

import argparse
from pathlib import Path

from tokenmix.files import write_atomic
from tokenmix.profiling.rows import (
    MIXER_COLUMNS,
    MODEL_COLUMNS,
    SIZE_COLUMNS,
    mixer_rows,
    model_rows,
    size_rows,
)
from tokenmix.rows import records_text
from tokenmix.study.index_file import read_index

TABLES = {
    "models": (MODEL_COLUMNS, model_rows),
    "mixers": (MIXER_COLUMNS, mixer_rows),
    "sizes": (SIZE_COLUMNS, size_rows),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix profile`."""
    parser.add_argument("--plan", type=Path, required=True, metavar="INDEX", help="study index, in the plan folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder of the three CSV files")


def run(args: argparse.Namespace) -> None:
    """Write models.csv, mixers.csv and sizes.csv, and name the operators that nothing is known of."""
    index = read_index(args.plan)
    skipped: set[str] = set()
    for name, (columns, rows_of) in TABLES.items():
        rows = list(rows_of(index))
        skipped.update(operator for row in rows for operator in row["skipped"].split(";") if operator)
        write_atomic(args.out / f"{name}.csv", records_text(columns, rows))
        print(f"{name}: {len(rows)} rows")
    if skipped:
        print(f"nothing is known of the cost of: {', '.join(sorted(skipped))}; see tokenmix/profiling/macs.py")
