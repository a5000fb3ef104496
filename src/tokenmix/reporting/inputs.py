"""What reporting reads: the study's index and the files of the stages before it, as typed records."""

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from tokenmix.errors import UserError
from tokenmix.files import read_json, sha256_file
from tokenmix.reporting.names import model_name
from tokenmix.reporting.records import Cell, CellKey, Pair, Row, Table, cell_of_row, pair_of_row
from tokenmix.rows import read_rows
from tokenmix.study.index_file import read_index

Record = TypeVar("Record")


def parsed(path: Path, rows: Sequence[dict[str, str]], record: Callable[[dict[str, str]], Record]) -> list[Record]:
    """The record of each row of a file; raises UserError where a column is missing or no number."""
    try:
        return [record(row) for row in rows]
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path} has other columns than expected ({error}); delete it so that it is made again"
        ) from error


def measurements(path: Path) -> list[dict[str, Any]]:
    """What each job at a run measured, as far as it told; a line that a crash cut short is left out."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in found if isinstance(line, dict)]


@dataclass
class Study:
    """A finished study seen from its index; files are read when they are first needed."""

    path: Path
    index: dict[str, Any] = field(repr=False)
    _cards: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    _cells: dict[str, dict[CellKey, Cell]] = field(default_factory=dict, repr=False)
    _pairs: dict[str, dict[tuple[str, str, Row, Row], Pair]] = field(default_factory=dict, repr=False)
    _runs: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def measured(self, name: str) -> float | None:
        """Sum of `energy_joules` or `gpu_s` over all attempts at the runs; None where no device told."""
        told = []
        for run in self.index["runs"]:
            path = self.results / "benchmarks" / "train" / f"{run}.jsonl"
            told += [line.get(name) for line in measurements(path)]
        known = [amount for amount in told if amount is not None]
        return sum(known) if known else None

    @classmethod
    def open(cls, path: Path) -> "Study":
        """Read the index `<results>/plan/<study>.<hash8>.json`; raises UserError where it is none."""
        return cls(path, read_index(path))

    @property
    def name(self) -> str:
        """The study's short name."""
        return self.index["study"]

    @property
    def results(self) -> Path:
        """The folder of everything that is computed."""
        return Path(self.index["results"])

    @property
    def folder(self) -> Path:
        """The folder of this study's own results."""
        return self.results / self.name

    @property
    def paper(self) -> Path:
        """The folder in which the paper is built."""
        return self.folder / "paper"

    @property
    def phantoms(self) -> bool:
        """Whether the images are phantoms, so that nothing here is a medical result."""
        return bool(self.index.get("phantoms"))

    @property
    def level(self) -> float:
        """Confidence level of the intervals."""
        return float(self.index.get("evaluation", {}).get("level", 0.95))

    @property
    def test(self) -> str:
        """How two models are compared, in words."""
        corrected = self.index.get("evaluation", {}).get("correction", "holm") == "holm"
        return "paired bootstrap, " + ("Holm's correction for all pairs" if corrected else "uncorrected")

    @property
    def datasets(self) -> dict[str, dict[str, Any]]:
        """Data sets with their size (`breastmnist-28`) in the order of the study."""
        return self.index["datasets"]

    def card(self, dataset: str) -> dict[str, Any]:
        """The card of a prepared data set, with title, licence and DOI as they may have been edited since."""
        if dataset not in self._cards:
            entry = self.datasets[dataset]
            self._cards[dataset] = read_json(Path(entry["folder"]) / "card.json") | entry.get("about", {})
        return self._cards[dataset]

    @property
    def cards(self) -> dict[str, dict[str, Any]]:
        """Data set -> its card."""
        return {name: self.card(name) for name in self.datasets}

    def title(self, dataset: str) -> str:
        """What the paper calls a data set."""
        return str(self.card(dataset).get("title") or self.datasets[dataset].get("name") or dataset)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The study's tables in their order."""
        keys = {entry.get("name"): name for name, entry in self.datasets.items()}
        tables = {}
        for name, entry in self.index["tables"].items():
            datasets = tuple(keys.get(given, given) for given in entry.get("datasets") or self.datasets)
            tables[name] = Table(
                name,
                entry.get("caption") or "",
                datasets,
                tuple(entry.get("metrics", ("accuracy", "auc", "f1"))),
                entry.get("init", "scratch"),
                tuple((model, init) for model, init in entry["rows"]),
                tuple(entry.get("baselines") or ()),
                entry.get("layout", "models"),
                tuple(entry.get("reused") or ()),
                entry.get("arrangement", ""),
            )
        return tables

    @cached_property
    def reused(self) -> dict[tuple[str, str], str]:
        """(Data set, model) -> the model of another arrangement whose runs stand in its row, as published."""
        return {
            (dataset, model.replace(f"-{model_name(model).arrangement}-", f"-{table.arrangement}-", 1)): model
            for table in self.tables.values()
            for dataset in table.datasets
            for model in table.reused
        }

    @property
    def first_table(self) -> Table:
        """The table that figures of one table show; raises UserError where the study has none."""
        if not self.tables:
            raise UserError(f"{self.path} holds no table; the figure needs one; add it to `tables` in the config")
        return next(iter(self.tables.values()))

    def cells_of(self, table: Table) -> dict[CellKey, Cell]:
        """The cells of one table, in the order of its files."""
        if table.name not in self._cells:
            self._cells[table.name] = dict(
                cell for dataset in table.datasets for cell in self._metrics(table, dataset, "cells", cell_of_row)
            )
        return self._cells[table.name]

    @cached_property
    def cells(self) -> dict[CellKey, Cell]:
        """The cells of all tables; one that stands in two tables appears once."""
        cells: dict[CellKey, Cell] = {}
        for table in self.tables.values():
            for key, cell in self.cells_of(table).items():
                cells.setdefault(key, cell)
        return cells

    def pairs_of(self, table: Table) -> dict[tuple[str, str, Row, Row], Pair]:
        """(data set, metric, row, row) -> difference in one table; each pair in both directions."""
        if table.name not in self._pairs:
            pairs = self._pairs[table.name] = {}
            for dataset in table.datasets:
                for metric, a, b, pair in self._metrics(table, dataset, "pairs", pair_of_row):
                    pairs[dataset, metric, a, b] = pair
                    pairs[dataset, metric, b, a] = Pair(-pair.difference, -pair.high, -pair.low, pair.significant)
        return self._pairs[table.name]

    def seed_values(self, table: Table, dataset: str, metric: str) -> dict[str, float]:
        """Run -> its own value on the test split."""
        path = self.folder / "metrics" / table.name / f"{dataset}.csv"
        rows = parsed(path, read_rows(path), lambda row: (row["metric"], row["run"], float(row["value"])))
        return {run: value for name, run, value in rows if name == metric}

    def _metrics(
        self, table: Table, dataset: str, kind: str, record: Callable[[dict[str, str]], Record]
    ) -> list[Record]:
        path = self.folder / "metrics" / table.name / f"{dataset}.{kind}.csv"
        return parsed(path, read_rows(path), record)

    def runs_of(self, table: Table, dataset: str, row: Row | None = None) -> list[str]:
        """The runs behind one column group of a table, or behind one of its cells."""
        return [
            run
            for run, entry in self.index["runs"].items()
            if table.name in entry["tables"]
            and f"{entry['dataset']}-{entry['size']}" == dataset
            and row in (None, (entry["model"], entry["init"]))
        ]

    def run(self, name: str) -> dict[str, Any]:
        """The attestation (run.json) of one run."""
        if name not in self._runs:
            self._runs[name] = read_json(self._left_by(name, "run.json"))
        return self._runs[name]

    def remake(self, run: str, name: str = "run.json") -> str:
        """The command that publishes a run again from the store, or trains it where the store has lost it."""
        return f"snakemake {shlex.quote(f'{self.results}/runs/{run}/{name}')} --config study={self.name}"

    def _left_by(self, run: str, name: str) -> Path:
        # jobs that read of every run wait for the checksums of attestations, so a file may have been deleted since
        path = self.results / "runs" / run / name
        if path.is_file():
            return path
        lost = sum(not (self.results / "runs" / other / name).is_file() for other in self.index["runs"])
        every = f"snakemake --forcerun publish --until publish --config study={self.name}"
        more = f"; it and {lost - 1} more: {every}" if lost > 1 else ""
        raise UserError(f"{path} is missing; make it again: {self.remake(run, name)}{more}")

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """Run -> its attestation, in the order of the plan."""
        return {name: self.run(name) for name in self.index["runs"]}

    @property
    def newest(self) -> dict[str, Any]:
        """The attestation of the run that ended last: it dates the study."""
        if not self.runs:
            raise UserError(f"{self.path} holds no runs; give the study a table with models, then plan again")
        return max(self.runs.values(), key=lambda run: str(run["execution"].get("ended", "")))

    def coinciding(self, dataset: str) -> list[list[Row]]:
        """Groups of rows that start alike and compute the same function at this size."""
        return [[(model, init) for model, init in group] for group in self.datasets[dataset].get("coinciding", [])]

    def twin(self, dataset: str, row: Row, rows: Sequence[Row]) -> Row | None:
        """The first of `rows` that starts and computes like `row` at this size; None for itself."""
        for group in self.coinciding(dataset):
            same = [other for other in rows if other in group]
            if row in same and same[0] != row:
                return same[0]
        return None

    def history(self, run: str) -> list[dict[str, str]]:
        """The learning curve of one run, one row per validation."""
        path = self._left_by(run, "history.csv")
        if self.run(run)["outputs"].get(path.name, checksum := sha256_file(path)) != checksum:
            again = f"rm {shlex.quote(str(path))} && {self.remake(run, path.name)}"
            raise UserError(f"{path} is not the file that its run.json attests; publish it again: {again}")
        return read_rows(path)

    def profile(self, name: str) -> list[dict[str, str]]:
        """The rows of profile/<name>.csv: models, mixers or sizes."""
        return read_rows(self.folder / "profile" / f"{name}.csv")

    def line(self, path: str) -> str:
        """`file:line` of a key of the config, of the nearest key above it, or '' where it is a default."""
        lines = self.index.get("config_lines", {})
        while path and path not in lines:
            path = path.rpartition(".")[0]
        return lines.get(path, "")

    def cell_groups(self) -> Iterator[tuple[tuple[str, str, str], list[Cell]]]:
        """((data set, model, init), its cells, one per metric) in the order of the study."""
        groups: dict[tuple[str, str, str], list[Cell]] = {}
        for cell in self.cells.values():
            groups.setdefault((cell.dataset, cell.model, cell.init), []).append(cell)
        yield from groups.items()
