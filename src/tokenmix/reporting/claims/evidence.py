"""The evidence for one comparison: a contrast of rows of tables, averaged over data sets, against a threshold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenmix.reporting.claims.names import TableRow
from tokenmix.reporting.claims.statistics import Estimate, case_variance, combine, error_of_interval
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import model_name, row_text
from tokenmix.reporting.records import Cell, is_number


class UndecidableError(Exception):
    """A claim cannot be decided; the text says why."""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of mean scores, averaged over data sets.

    differences: data set -> the sum there; cases: of all test splits; runs: the trainings behind it; once: cells
    that were trained once, so that their noise over seeds is not known.
    """

    estimate: Estimate
    differences: dict[str, float]
    cases: int
    runs: tuple[str, ...]
    once: int


@dataclass(frozen=True)
class Part:
    """One comparison of a claim: is a contrast above a threshold, or below it? low, high: its interval."""

    words: str
    contrast: Contrast
    threshold: float
    below: bool
    low: float
    high: float

    @property
    def p_holds(self) -> float:
        """One-sided p-value for the comparison: how surprising the scores are where it is false."""
        estimate = self.contrast.estimate
        return estimate.p_below(self.threshold) if self.below else estimate.p_above(self.threshold)

    @property
    def p_fails(self) -> float:
        """One-sided p-value against the comparison."""
        estimate = self.contrast.estimate
        return estimate.p_above(self.threshold) if self.below else estimate.p_below(self.threshold)

    def as_json(self) -> dict[str, Any]:
        """One comparison in claims.json; infinite degrees of freedom are null."""
        estimate = self.contrast.estimate
        return {
            "contrast": self.words,
            "side": "below" if self.below else "above",
            "threshold": self.threshold,
            "estimate": estimate.value,
            "low": self.low,
            "high": self.high,
            "error": estimate.error,
            "freedom": estimate.freedom if math.isfinite(estimate.freedom) else None,
            "p_holds": self.p_holds,
            "p_fails": self.p_fails,
            "datasets": self.contrast.differences,
            "cases": self.contrast.cases,
            "trained_once": self.contrast.once,
            "runs": list(self.contrast.runs),
        }


def weigh(plus: Sequence[TableRow], minus: Sequence[TableRow]) -> dict[TableRow, float]:
    """The mean over the rows of one side minus that of the other; rows on both sides cancel."""
    weights: dict[TableRow, float] = {}
    for rows, sign in ((plus, 1), (minus, -1)):
        for row in rows:
            weights[row] = weights.get(row, 0.0) + sign / len(rows)
    return {row: weight for row, weight in weights.items() if weight}


def measure(
    study: Study, weights: Mapping[TableRow, float], datasets: Sequence[str], metric: str, *, with_seeds: bool
) -> Contrast:
    """A contrast of rows over data sets; raises UndecidableError where a cell is missing, diverged or undefined."""
    differences: dict[str, float] = {}
    runs: dict[str, None] = {}
    variance, cases, once = 0.0, 0, 0
    seeds = []
    for dataset in datasets:
        cells = {row: _cell(study, row, dataset, metric) for row in weights}
        _refuse_twins(study, dataset, weights)
        differences[dataset] = sum(weight * cells[row].mean for row, weight in weights.items())
        variance += case_variance(weights, *_errors(study, cells, dataset, metric)) / len(datasets) ** 2
        cases += max(cell.cases for cell in cells.values())
        for row, cell in cells.items():
            once += cell.seeds < 2
            if with_seeds and cell.seeds > 1:
                share = (weights[row] / len(datasets)) ** 2
                seeds.append((share * cell.std**2 / cell.seeds, cell.seeds - 1))
            runs |= dict.fromkeys(cell.runs)
    estimate = combine(sum(differences.values()) / len(datasets), variance, seeds)
    return Contrast(estimate, differences, cases, tuple(runs), once)


def _cell(study: Study, row: TableRow, dataset: str, metric: str) -> Cell:
    table = study.tables[row.table]
    name = f"{row_text(row.model, row.init)} on {study.title(dataset)} (table {row.table})"
    cell = study.cells_of(table).get((dataset, row.model, row.init, metric)) if dataset in table.datasets else None
    if cell is None:
        raise UndecidableError(f"the study has no {metric} of {name}")
    if cell.diverged:
        raise UndecidableError(f"a training of {name} diverged")
    if not all(is_number(number) for number in (cell.mean, cell.low, cell.high)):
        raise UndecidableError(f"the {metric} of {name} is not defined")
    return cell


def _refuse_twins(study: Study, dataset: str, weights: Mapping[TableRow, float]) -> None:
    """Models that start and compute alike differ by noise alone, whatever a test says."""
    plus = [row for row, weight in weights.items() if weight > 0]
    minus = [row for row, weight in weights.items() if weight < 0]
    for group in study.coinciding(dataset):
        for a in plus:
            for b in minus:
                if (a.model, a.init) in group and (b.model, b.init) in group and a.model != b.model:
                    names = f"{model_name(a.model).text} and {model_name(b.model).text}"
                    raise UndecidableError(f"{names} compute the same function on {study.title(dataset)}")


def _errors(
    study: Study, cells: Mapping[TableRow, Cell], dataset: str, metric: str
) -> tuple[dict[TableRow, float], dict[tuple[TableRow, TableRow], float]]:
    """Standard errors over test cases: of each row's mean, and of the differences of two rows of one table."""
    level = study.level
    own = {row: error_of_interval(cell.low, cell.high, level) for row, cell in cells.items()}
    paired = {}
    for a in cells:
        for b in cells:
            pair = study.pairs_of(study.tables[a.table]).get((dataset, metric, (a.model, a.init), (b.model, b.init)))
            if a != b and a.table == b.table and pair and is_number(pair.low) and is_number(pair.high):
                paired[a, b] = error_of_interval(pair.low, pair.high, level)
    return own, paired
