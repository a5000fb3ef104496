"""From the config's tables to the list of runs they need."""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenmix.errors import UserError
from tokenmix.study.config import Config
from tokenmix.study.grammar import nearest, quote
from tokenmix.study.manifest import DatasetEntry
from tokenmix.study.protocol import Training


@dataclass(frozen=True)
class Run:
    """One training that a study wants, and the tables that want it."""

    dataset: str
    size: int
    model: str
    init: str
    seed: int
    tables: tuple[str, ...]

    @property
    def data(self) -> str:
        """Data set and size, `breastmnist-28`."""
        return f"{self.dataset}-{self.size}"

    @property
    def cell(self) -> str:
        """The run's name without its hash: `breastmnist-28.xs-tttt-local_attn5.scratch.s0`."""
        return f"{self.data}.{self.model}.{self.init}.s{self.seed}"


def expand(config: Config, manifest: Mapping[str, DatasetEntry]) -> list[Run]:
    """Every run of the study, once, in the order of tables, data sets, models and seeds.

    Raises UserError where a table names a data set that the study or the manifest does not have, and where two
    tables want the same cell trained in different ways.
    """
    wanted: dict[tuple[str, int, str, str, int], list[str]] = {}
    trained: dict[tuple[str, str, str], tuple[str, Training, list[int]]] = {}
    for table, settings in config.chosen_tables.items():
        seeds = list(dict.fromkeys(settings.seeds or config.seeds))
        for dataset in config.datasets_of(table):
            if dataset not in manifest or dataset not in config.datasets:
                known = [name for name in config.datasets if name in manifest]
                raise UserError(
                    f"unknown data set {quote(dataset)}{nearest(dataset, known)}; in tables.{table}; "
                    "name it under `datasets`, and register it where it is a folder of your own"
                )
            size = config.datasets[dataset].size
            training = config.training_for(dataset, table)
            for model, init in config.rows_of(table):
                first, *before = trained.setdefault((dataset, model, init), (table, training, seeds))
                if before != [training, seeds]:
                    raise UserError(
                        f"tables.{first} and tables.{table} both show {model} ({init}) on {dataset}, with other "
                        "`training` or `seeds`; a study has one result for each: give both tables the same"
                    )
                for seed in seeds:
                    wanted.setdefault((dataset, size, model, init, seed), []).append(table)
    return [Run(*cell, tables=tuple(tables)) for cell, tables in wanted.items()]
