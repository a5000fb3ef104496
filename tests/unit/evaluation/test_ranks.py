"""Ranks over data sets: the published rule, Friedman's test, the critical difference, and the command."""

import argparse
import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmix.errors import UserError
from tokenmix.evaluation import rank_command
from tokenmix.evaluation.cells import CELL_COLUMNS, PAIR_COLUMNS
from tokenmix.evaluation.ranks import (
    ascending_ranks,
    average_ranks,
    critical_difference,
    friedman,
    geometric_mean,
    relative_ranks,
)
from tokenmix.rows import records_text

WINS = st.lists(st.integers(0, 8), min_size=2, max_size=15)


def test_relative_ranks_of_a_worked_example() -> None:
    # places 0.1, 0.325, 0.55, 0.775, 1; the two models with one win share the mean of the second and third
    assert relative_ranks([0, 1, 1, 3, 4]) == pytest.approx([0.1, 0.4375, 0.4375, 0.775, 1.0])
    assert relative_ranks([4, 0, 3, 1, 1]) == pytest.approx([1.0, 0.1, 0.775, 0.4375, 0.4375])
    assert relative_ranks([2, 2, 2]) == pytest.approx([0.55] * 3)
    assert math.isnan(relative_ranks([0])[0])


@given(WINS)
@settings(deadline=None, max_examples=60)
def test_relative_ranks_are_the_published_rule_spelled_out(wins: list[int]) -> None:
    spaced = np.linspace(0.1, 1, len(wins))
    ordered = np.sort(wins)
    expected = [spaced[ordered == points].mean() for points in wins]
    assert relative_ranks(wins) == pytest.approx(expected)
    assert ascending_ranks(wins) == pytest.approx(scipy.stats.rankdata(wins))


def test_data_sets_are_averaged_geometrically_and_missing_ones_skipped() -> None:
    assert geometric_mean([0.1, 1.0]) == pytest.approx(math.sqrt(0.1))
    assert geometric_mean([0.1, math.nan, 1.0]) == pytest.approx(scipy.stats.gmean([0.1, 1.0]))
    assert math.isnan(geometric_mean([math.nan]))


@given(st.integers(0, 2**32 - 1), st.integers(3, 7), st.integers(2, 9))
@settings(deadline=None, max_examples=40)
def test_friedman_is_that_of_scipy(seed: int, models: int, datasets: int) -> None:
    means = np.random.default_rng(seed).integers(0, 6, size=(datasets, models)) / 10  # many ties
    columns = [dict(enumerate(row)) for row in means]
    averages, ranks = average_ranks(columns)
    expected_ranks = scipy.stats.rankdata(-means, axis=1)
    assert list(averages.values()) == pytest.approx(expected_ranks.mean(axis=0))
    if (means == means[:, :1]).all():
        assert friedman(ranks) == 1
    else:
        assert friedman(ranks) == pytest.approx(scipy.stats.friedmanchisquare(*means.T).pvalue)


def test_critical_differences_are_those_of_demsar() -> None:
    # Demsar 2006, table 5a: q at 0.05 for 2, 4 and 10 classifiers; and the example of section 3.2.4 (4 on 14 data sets)
    for models, q in ((2, 1.960), (4, 2.569), (10, 3.164)):
        expected = q * math.sqrt(models * (models + 1) / (6 * 14))
        assert critical_difference(models, 14, 0.95) == pytest.approx(expected, rel=5e-4)
    assert critical_difference(4, 14, 0.95) == pytest.approx(1.25, abs=0.01)
    assert math.isnan(critical_difference(1, 14, 0.95))


def test_a_model_that_is_missing_somewhere_has_no_average_place() -> None:
    averages, ranks = average_ranks([{"a": 0.9, "b": 0.8, "c": 0.7}, {"c": 0.9, "a": 0.8}])
    assert averages == {"a": 1.5, "c": 1.5}
    assert ranks == [[1, 2], [2, 1]]


class Table:
    """The metrics of one table on two data sets, as `tokenmix evaluate` writes them."""

    MODELS = ("best", "good", "twin", "poor", "broken")
    BASELINE = "baseline"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index = root / "plan.json"
        self.folder = root / "metrics"
        dataset: dict[str, Any] = {"coinciding": [[["good", "scratch"], ["twin", "scratch"]]]}
        content = {
            "study": "demo",
            "results": "results",
            "runs": {},
            "tables": {
                "t": {
                    "datasets": ["one-28", "two-28"],
                    "rows": [[model, "scratch"] for model in (*self.MODELS, self.BASELINE)],
                    "baselines": [self.BASELINE],
                }
            },
            "datasets": {"one-28": dataset, "two-28": {"coinciding": []}},
            "evaluation": {"level": 0.95},
        }
        self.index.write_text(json.dumps(content))
        self.write("one-28", (0.95, 0.90, 0.91, 0.80, 0.99), {"broken"})
        self.write("two-28", (0.95, 0.96, 0.91, 0.80, 0.70), set())

    def write(self, dataset: str, means: tuple[float, ...], diverged: set[str]) -> None:
        """Models differ significantly where their means are 0.04 apart; the baseline beats them all."""
        cells, pairs = [], []
        named = list(zip((*self.MODELS, self.BASELINE), (*means, 1.5), strict=True))
        for place, (model, mean) in enumerate(named):
            status = "diverged" if model in diverged else "finished"
            cell = {"dataset": dataset, "model": model, "init": "scratch", "metric": "auc"}
            cells.append(dict.fromkeys(CELL_COLUMNS, 1) | cell | {"mean": mean, "status": status})
            for other, rival in named[place + 1 :]:
                names = {"metric": "auc", "model_a": model, "model_b": other, "init_a": "scratch", "init_b": "scratch"}
                tested = {"difference": mean - rival, "significant": int(abs(mean - rival) > 0.04)}
                pairs.append(dict.fromkeys(PAIR_COLUMNS, 0.5) | names | tested)
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{dataset}.cells.csv").write_text(records_text(CELL_COLUMNS, cells))
        (self.folder / f"{dataset}.pairs.csv").write_text(records_text(PAIR_COLUMNS, pairs))

    def rank(self, table: str = "t") -> None:
        parser = argparse.ArgumentParser()
        rank_command.configure(parser)
        arguments = ["--plan", str(self.index), "--table", table, "--out", str(self.folder)]
        rank_command.run(parser.parse_args(arguments))

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))


def test_wins_ranks_and_places_of_a_table(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.rank()
    wins = {(row["dataset"], row["model"]): row for row in table.rows("wins.csv")}
    # a model with a diverged run takes no part, nor one that computes what another does, nor a baseline
    assert "baseline" not in {model for _, model in wins}
    assert [model for dataset, model in wins if dataset == "one-28"] == ["best", "good", "poor"]
    assert [int(wins["one-28", model]["wins"]) for model in ("best", "good", "poor")] == [2, 1, 0]
    assert [int(wins["two-28", model]["wins"]) for model in table.MODELS] == [2, 3, 2, 1, 0]
    assert {row["rivals"] for (dataset, _), row in wins.items() if dataset == "two-28"} == {"4"}
    relative = [float(wins["two-28", model]["relative_rank"]) for model in table.MODELS]
    assert relative == pytest.approx([0.6625, 1, 0.6625, 0.325, 0.1])
    ranks = {row["model"]: row for row in table.rows("ranks.csv")}
    assert float(ranks["best"]["relative_rank"]) == pytest.approx(math.sqrt(1.0 * 0.6625))
    assert float(ranks["good"]["relative_rank"]) == pytest.approx(math.sqrt(0.55 * 1.0))
    assert float(ranks["twin"]["relative_rank"]) == pytest.approx(0.6625)
    assert [row["datasets"] for row in ranks.values()] == ["2", "2", "2", "1", "1"]
    # places among those that stand on both data sets
    places = {model: row["average_place"] for model, row in ranks.items()}
    assert places == {"best": "1.5", "good": "1.5", "poor": "3.0", "twin": "nan", "broken": "nan"}
    assert {(row["compared_models"], row["compared_datasets"]) for row in ranks.values()} == {("3", "2")}
    expected = scipy.stats.friedmanchisquare([0.95, 0.95], [0.90, 0.96], [0.80, 0.80]).pvalue
    assert float(ranks["best"]["friedman_p"]) == pytest.approx(expected)
    assert float(ranks["best"]["critical_difference"]) == pytest.approx(critical_difference(3, 2, 0.95))


def test_a_data_set_that_does_not_count_gives_no_points(tmp_path: Path) -> None:
    table = Table(tmp_path)
    index = json.loads(table.index.read_text())
    index["tables"]["t"]["unranked"] = ["one-28"]
    table.index.write_text(json.dumps(index))
    table.rank()
    assert {row["dataset"] for row in table.rows("wins.csv")} == {"two-28"}
    ranks = {row["model"]: float(row["relative_rank"]) for row in table.rows("ranks.csv")}
    assert ranks["best"] == pytest.approx(0.6625)


def test_a_table_of_baselines_alone_has_no_ranks(tmp_path: Path) -> None:
    table = Table(tmp_path)
    index = json.loads(table.index.read_text())
    index["tables"]["t"]["baselines"] = [*Table.MODELS, Table.BASELINE]
    table.index.write_text(json.dumps(index))
    table.rank()
    assert table.rows("wins.csv") == table.rows("ranks.csv") == []


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.rank()
    first = [(table.folder / name).read_bytes() for name in ("wins.csv", "ranks.csv")]
    table.rank()
    assert [(table.folder / name).read_bytes() for name in ("wins.csv", "ranks.csv")] == first


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("significant", "significance", r"two-28\.pairs\.csv has no column significant"),
        ("auc,best", "auc,x,best", r"two-28\.pairs\.csv has rows of different length"),
    ],
)
def test_damaged_pairs_are_one_message(tmp_path: Path, old: str, new: str, message: str) -> None:
    table = Table(tmp_path)
    path = table.folder / "two-28.pairs.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        table.rank()


def test_missing_files_and_unknown_tables_are_named(tmp_path: Path) -> None:
    table = Table(tmp_path)
    with pytest.raises(UserError, match="choose one of: t"):
        table.rank("u")
    (table.folder / "one-28.cells.csv").write_text(
        (table.folder / "one-28.cells.csv").read_text().replace("0.95", "O.95")
    )
    with pytest.raises(UserError, match=r"one-28\.cells\.csv: 'O.95' is no number"):
        table.rank()
    (table.folder / "one-28.cells.csv").unlink()
    with pytest.raises(UserError, match=r"one-28\.cells\.csv is missing"):
        table.rank()
