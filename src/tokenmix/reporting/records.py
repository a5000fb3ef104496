"""The records that reporting works with: cells, pairs of cells, tables."""

import math
import re
from dataclasses import dataclass

#: (data set, model, init, metric)
CellKey = tuple[str, str, str, str]
#: (model, init): what a table has a row for
Row = tuple[str, str]


@dataclass(frozen=True)
class Cell:
    """One model with one initialisation on one data set, under one metric, over its seeds."""

    dataset: str
    model: str
    init: str
    metric: str
    mean: float
    std: float
    low: float
    high: float
    seeds: int
    cases: int
    runs: tuple[str, ...]
    diverged: bool
    mark: str

    @property
    def row(self) -> Row:
        """The row of a table that the cell stands in."""
        return self.model, self.init


@dataclass(frozen=True)
class Pair:
    """Difference of two cells under one metric, with its paired bootstrap interval, and whether it is significant."""

    difference: float
    low: float
    high: float
    significant: bool


@dataclass(frozen=True)
class Table:
    """One table of results as the plan resolved it; data sets are keys with their size."""

    name: str
    caption: str
    datasets: tuple[str, ...]
    metrics: tuple[str, ...]
    init: str
    rows: tuple[Row, ...]
    baselines: tuple[str, ...] = ()
    layout: str = "models"
    #: models of another arrangement, whose runs stand in the rows of this one's pooling
    reused: tuple[str, ...] = ()
    arrangement: str = ""

    @property
    def title(self) -> str:
        """The name in words, for figures: `classification_2p2t` is classification [P,P,T,T]."""
        return " ".join(_spelled(word) for word in self.name.split("_"))


def _spelled(word: str) -> str:
    """`4t` and `2p2t` as the four stages that they stand for; any other word as it is."""
    stages = "".join(letter.upper() * int(count) for count, letter in re.findall(r"(\d)([pt])", word))
    return f"[{','.join(stages)}]" if re.fullmatch(r"4[pt]|[1-3]p[1-3]t", word) and len(stages) == 4 else word


def cell_of_row(row: dict[str, str]) -> tuple[CellKey, Cell]:
    """A row of a `.cells.csv` file with its key; an empty number is NaN."""
    cell = Cell(
        dataset=row["dataset"],
        model=row["model"],
        init=row["init"],
        metric=row["metric"],
        mean=float(row["mean"] or "nan"),
        std=float(row["std"] or "nan"),
        low=float(row["low"] or "nan"),
        high=float(row["high"] or "nan"),
        seeds=int(row["seeds"]),
        cases=int(row["cases"]),
        runs=tuple(row["runs"].split(";")),
        diverged=row["status"] == "diverged",
        mark=row["mark"],
    )
    return (cell.dataset, cell.model, cell.init, cell.metric), cell


def pair_of_row(row: dict[str, str]) -> tuple[str, Row, Row, Pair]:
    """A row of a `.pairs.csv` file: metric, the rows that are compared, their difference."""
    pair = Pair(float(row["difference"]), float(row["low"]), float(row["high"]), row["significant"] == "1")
    return row["metric"], (row["model_a"], row["init_a"]), (row["model_b"], row["init_b"]), pair


def is_number(value: float) -> bool:
    """Whether a value can be printed: neither missing nor infinite."""
    return math.isfinite(value)
