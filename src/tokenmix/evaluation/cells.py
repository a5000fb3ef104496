"""Records of the evaluation: one per run and metric, one per cell and metric, one per pair of cells.

A cell is a model with an initialisation on a data set; its runs differ in the seed. Intervals are percentile
intervals of a bootstrap over the test cases. The interval of a cell is that of the mean over its seeds: it
says what other cases would change, while the standard deviation over seeds says what other seeds would. A
pair is compared in the same way: means over seeds, in the same resamples for both.
"""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from tokenmix.errors import UserError
from tokenmix.evaluation.bootstrap import bootstrap, interval, point_estimates
from tokenmix.evaluation.metrics import metric_names
from tokenmix.evaluation.predictions import DatasetRuns, EvaluatedRun
from tokenmix.evaluation.tests import holm, p_value

Record = dict[str, Any]

# fmt: off
RUN_COLUMNS = (
    "run", "dataset", "model", "init", "seed", "status", "mark", "metric", "value", "low", "high", "n",
)
CELL_COLUMNS = (
    "dataset", "model", "init", "metric", "mean", "std", "low", "high", "seeds", "cases", "runs",
    "status", "mark",
)
PAIR_COLUMNS = (
    "metric", "model_a", "init_a", "model_b", "init_b", "difference", "low", "high",
    "p", "p_holm", "significant",
)
# fmt: on


class Records(NamedTuple):
    """Rows of the three files, with the columns named above."""

    runs: list[Record]
    cells: list[Record]
    pairs: list[Record]


@dataclass(frozen=True)
class _Cell:
    model: str
    init: str
    runs: list[EvaluatedRun]

    def status(self) -> str:
        return "diverged" if any(run.status == "diverged" for run in self.runs) else "finished"

    def mark(self) -> str:
        return ";".join(sorted({run.mark for run in self.runs if run.mark}))


def evaluate(data: DatasetRuns, number: int, seed: int, level: float, correction: str = "holm") -> Records:
    """Records of runs, cells and pairs of cells from `number` resamples at a confidence `level` (0.95).

    A pair is `significant` (1 or 0) by `correction`: "holm", where its p-value, adjusted for all pairs under the
    metric, is below 1 - level; "none", where its own interval excludes 0, as the published study has it. Pairs of a
    cell with a diverged run are not tested and do not count among those that are.
    """
    points = {run.run: point_estimates(run.scorer, data.cases) for run in data.runs}
    drawn = bootstrap({run.run: run.scorer for run in data.runs}, data.cases, number, seed)
    cells = _group(data.runs)
    records = Records([], [], [])
    for metric in metric_names(data.task):
        for run in data.runs:
            identity = (run.run, data.dataset, run.model, run.init, run.seed, run.status, run.mark)
            value, limits = points[run.run][metric], interval(drawn[run.run][metric], level)
            records.runs.append(_record(RUN_COLUMNS, *identity, metric, value, *limits, data.cases))
        # resamples of the mean over seeds: the same cases for every seed, then their mean
        means = [np.mean([drawn[run.run][metric] for run in cell.runs], axis=0) for cell in cells]
        averages = []
        for cell, mean in zip(cells, means, strict=True):
            values = [points[run.run][metric] for run in cell.runs]
            averages.append(statistics.fmean(values))
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
            numbers = (averages[-1], spread, *interval(mean, level), len(values), data.cases)
            ending = (";".join(run.run for run in cell.runs), cell.status(), cell.mark())
            name = (data.dataset, cell.model, cell.init, metric)
            records.cells.append(_record(CELL_COLUMNS, *name, *numbers, *ending))
        records.pairs.extend(_compare(metric, cells, averages, means, level, correction))
    return records


def _compare(
    metric: str, cells: list[_Cell], averages: list[float], means: list[np.ndarray], level: float, correction: str
) -> Iterator[Record]:
    """One record for each pair of cells: their averages differ by how much, and is that significant?"""
    pairs = list(combinations(range(len(cells)), 2))
    tested = [cells[a].status() == cells[b].status() == "finished" for a, b in pairs]
    differences = [averages[a] - averages[b] for a, b in pairs]
    drawn = [means[a] - means[b] for a, b in pairs]
    p_values = [
        p_value(difference, values) if finished else math.nan
        for difference, values, finished in zip(differences, drawn, tested, strict=True)
    ]
    adjusted = holm(p_values)
    for number, (a, b) in enumerate(pairs):
        low, high = interval(drawn[number], level)
        # not a number is never smaller: what cannot be compared is not significant
        decided = adjusted[number] < 1 - level if correction == "holm" else low > 0 or high < 0
        significant = tested[number] and decided
        names = (cells[a].model, cells[a].init, cells[b].model, cells[b].init)
        limits = (differences[number], low, high)
        verdict = (p_values[number], adjusted[number], int(significant))
        yield _record(PAIR_COLUMNS, metric, *names, *limits, *verdict)


def _record(columns: tuple[str, ...], *values: Any) -> Record:
    return dict(zip(columns, values, strict=True))


def _group(runs: list[EvaluatedRun]) -> list[_Cell]:
    cells: dict[tuple[str, str], _Cell] = {}
    for run in runs:
        cell = cells.setdefault((run.model, run.init), _Cell(run.model, run.init, []))
        for member in cell.runs:
            if member.seed == run.seed:
                raise UserError(
                    f"two runs stand for one cell and seed: {member.run} and {run.run}; config, `tables`; "
                    "a study trains each model, initialisation and seed once on a data set"
                )
        cell.runs.append(run)
    return list(cells.values())
