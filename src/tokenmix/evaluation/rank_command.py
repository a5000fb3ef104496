"""`tokenmix rank`: the models of one table ranked over its data sets, from what `tokenmix evaluate` wrote."""

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenmix.errors import UserError
from tokenmix.evaluation.ranks import (
    average_ranks,
    critical_difference,
    friedman,
    geometric_mean,
    places,
    relative_ranks,
)
from tokenmix.files import write_atomic
from tokenmix.rows import read_rows, records_text
from tokenmix.study.index_file import read_index

WIN_COLUMNS = ("metric", "dataset", "model", "init", "mean", "wins", "rivals", "relative_rank", "place")
RANK_COLUMNS = (
    "metric", "model", "init", "datasets", "relative_rank", "average_place",
    "compared_models", "compared_datasets", "friedman_p", "critical_difference",
)  # fmt: skip
Model = tuple[str, str]  # name and initialisation
Record = dict[str, Any]


class _Column(NamedTuple):
    """The models that take part on one data set under one metric: their means and wins."""

    dataset: str
    means: dict[Model, float]
    wins: dict[Model, int]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix rank`."""
    parser.add_argument("--plan", type=Path, required=True, metavar="INDEX", help="study index, in the plan folder")
    parser.add_argument("--table", required=True, metavar="NAME", help="the table whose models are ranked")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="folder of the table's metrics, which are read there"
    )


def run(args: argparse.Namespace) -> None:
    """Write wins.csv (points by data set) and ranks.csv (over the data sets of the table that count in rankings).

    Token mixers are ranked; the table's baselines are nobody's rivals, as in the published study.
    """
    index = read_index(args.plan)
    if args.table not in index["tables"]:
        known = ", ".join(index["tables"])
        raise UserError(f"no table is called {args.table!r}; {args.plan}; choose one of: {known}")
    table = index["tables"][args.table]
    level = float(index["evaluation"]["level"])
    models = [(model, init) for model, init in table["rows"] if model not in table.get("baselines", ())]
    datasets = [dataset for dataset in table["datasets"] if dataset not in table.get("unranked", ())]
    by_metric: dict[str, list[_Column]] = {}
    for dataset in datasets:
        coinciding = index["datasets"][dataset].get("coinciding", [])
        for metric, column in _columns(args.out, dataset, models, coinciding):
            by_metric.setdefault(metric, []).append(column)
    wins = [record for metric, columns in by_metric.items() for record in _wins(metric, columns)]
    ranks = [record for metric, columns in by_metric.items() for record in _ranks(metric, columns, level)]
    write_atomic(args.out / "wins.csv", records_text(WIN_COLUMNS, wins))
    write_atomic(args.out / "ranks.csv", records_text(RANK_COLUMNS, ranks))
    print(f"{args.table}: {len(models)} models on {len(datasets)} data sets")


def _columns(
    folder: Path, dataset: str, models: Sequence[Model], coinciding: Sequence[Sequence[Sequence[str]]]
) -> Iterator[tuple[str, _Column]]:
    """Metric and column of one data set's files.

    Of `models`, one with a diverged run takes no part, nor one that starts and computes like a model before it: their
    difference is noise by construction.
    """
    twins = set()
    for group in coinciding:
        twins.update([row for row in models if list(row) in group][1:])
    by_metric: dict[str, _Column] = {}
    path = folder / f"{dataset}.cells.csv"
    for row in read_rows(path, ("metric", "model", "init", "mean", "status")):
        column = by_metric.setdefault(row["metric"], _Column(dataset, {}, {}))
        mean = _number(row["mean"], path)
        model = row["model"], row["init"]
        if model in models and row["status"] != "diverged" and model not in twins and math.isfinite(mean):
            column.means[model] = mean
            column.wins[model] = 0
    path = folder / f"{dataset}.pairs.csv"
    for row in read_rows(path, ("metric", "model_a", "init_a", "model_b", "init_b", "difference", "significant")):
        wins = by_metric[row["metric"]].wins if row["metric"] in by_metric else {}
        pair = (row["model_a"], row["init_a"]), (row["model_b"], row["init_b"])
        if row["significant"] == "1" and all(model in wins for model in pair):
            wins[pair[0] if _number(row["difference"], path) > 0 else pair[1]] += 1
    yield from by_metric.items()


def _wins(metric: str, columns: Sequence[_Column]) -> Iterator[Record]:
    for column in columns:
        relative = relative_ranks(list(column.wins.values()))
        place = places(list(column.means.values()))
        rivals = len(column.means) - 1
        for number, (model, mean) in enumerate(column.means.items()):
            name = (metric, column.dataset, *model)
            numbers = (mean, column.wins[model], rivals, relative[number], place[number])
            yield dict(zip(WIN_COLUMNS, name + numbers, strict=True))


def _ranks(metric: str, columns: Sequence[_Column], level: float) -> Iterator[Record]:
    relative: dict[Model, list[float]] = {}
    for column in columns:
        for model, rank in zip(column.wins, relative_ranks(list(column.wins.values())), strict=True):
            relative.setdefault(model, []).append(rank)
    averages, by_dataset = average_ranks([column.means for column in columns])
    compared = len(averages), len(columns)
    tested = friedman(by_dataset), critical_difference(*compared, level)
    for model, ranks in relative.items():
        own = (metric, *model, len(ranks), geometric_mean(ranks), averages.get(model, math.nan))
        yield dict(zip(RANK_COLUMNS, own + compared + tested, strict=True))


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"{path}: {text!r} is no number; delete it so that it is made again") from error
