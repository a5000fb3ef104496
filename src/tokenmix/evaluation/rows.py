"""The CSV files of the evaluation: one row a record."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError


def as_csv(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> str:
    """CSV text with a header; floats in the shortest form that reads back as the same number."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a file that has at least these columns; raises UserError where it is missing or damaged."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the evaluation of its data set first") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV ({error}); delete it so that it is made again") from error
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing or any(None in row or None in row.values() for row in rows):
        what = f"no column {', '.join(missing)}" if missing else "rows of different length"
        raise UserError(f"{path} has {what}; delete it so that it is made again")
    return rows
