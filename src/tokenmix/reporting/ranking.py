"""Which cells of a table stand out: the best, and those the test cannot tell from it."""

from dataclasses import dataclass

from tokenmix.reporting.inputs import Study
from tokenmix.reporting.records import Cell, Row, Table, is_number


@dataclass(frozen=True)
class Ranking:
    """The cells of one data set and metric that take part, and which of them stand out."""

    cells: tuple[Cell, ...]
    best: Cell | None
    ties: frozenset[Row]
    diverged: tuple[Cell, ...]

    @property
    def spread(self) -> float:
        """Best minus worst mean."""
        means = [cell.mean for cell in self.cells]
        return max(means) - min(means)

    @property
    def seed_noise(self) -> float | None:
        """Root of the mean variance over seeds; None where no cell has two seeds."""
        variances = [cell.std**2 for cell in self.cells if is_number(cell.std)]
        return (sum(variances) / len(variances)) ** 0.5 if variances else None


def rank(study: Study, table: Table, dataset: str, metric: str) -> Ranking:
    """Rank the cells of one column of a table by their mean.

    Diverged cells and undefined values take no part; of models that compute the same function here, only the
    first does, since their difference is noise by construction. `ties` are the rows that the test
    does not tell from the best; a pair that was not compared counts as different.
    """
    cells = study.cells_of(table)
    found = [cells.get((dataset, *row, metric)) for row in table.rows]
    present = [cell for cell in found if cell]
    diverged = tuple(cell for cell in present if cell.diverged)
    ranked = tuple(
        cell
        for cell in present
        if not cell.diverged and is_number(cell.mean) and not study.twin(dataset, cell.row, table.rows)
    )
    if not ranked:
        return Ranking((), None, frozenset(), diverged)
    best = max(ranked, key=lambda cell: cell.mean)
    pairs = study.pairs_of(table)
    ties = set()
    for cell in ranked:
        pair = pairs.get((dataset, metric, best.row, cell.row))
        if cell is not best and pair and not pair.significant:
            ties.add(cell.row)
    return Ranking(ranked, best, frozenset(ties), diverged)
