"""Confusion matrices: which class is taken for which, over the seeds of a cell."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tokenmix.evaluation.predictions import DatasetRuns

CONFUSION_COLUMNS = ("model", "init", "true", "predicted", "cases")


def confusion(data: DatasetRuns) -> Iterator[dict[str, Any]]:
    """How often cases of class `true` were taken for class `predicted`, summed over the runs of each cell.

    Classes are numbers in the order of the data card; pairs that never occur have no record. A multi-label task has
    none at all: its labels do not exclude each other.
    """
    if data.task == "multi-label":
        return
    cells: dict[tuple[str, str], np.ndarray] = {}
    for run in data.runs:
        counts = run.scorer.confusion()
        cells[run.model, run.init] = cells.get((run.model, run.init), 0) + counts
    for cell, counts in cells.items():
        for true, predicted in np.argwhere(counts):
            numbers = (int(true), int(predicted), int(counts[true, predicted]))
            yield dict(zip(CONFUSION_COLUMNS, cell + numbers, strict=True))
