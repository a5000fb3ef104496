"""Rows of text between the steps: CSV files with a header."""

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError


def csv_text(columns: Sequence[str], rows: Iterable[Collection[Any]]) -> str:
    """CSV text with a header; floats in the shortest form that reads back as the same number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def records_text(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> str:
    """The same from records, whose keys are exactly the columns; raises ValueError where one has another."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def read_rows(path: Path, columns: Collection[str] = ()) -> list[dict[str, str]]:
    """The rows of a file that has at least these columns; raises UserError where it is missing or damaged."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the pipeline that makes it first") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV ({error}); delete it so that it is made again") from error
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing or any(None in row or None in row.values() for row in rows):
        what = f"no column {', '.join(missing)}" if missing else "rows of different length"
        raise UserError(f"{path} has {what}; delete it so that it is made again")
    return rows
