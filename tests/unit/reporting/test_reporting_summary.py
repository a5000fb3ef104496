"""The abstract's generated sentences are true of the whole study, however many tables it has."""

import csv
from pathlib import Path
from typing import Any

from fake_studies import make_study

from tokenmix.reporting import values
from tokenmix.reporting.inputs import Study

WEAK, STRONG = "s12-tttt-pooling3", "s12-pptt-pooling3"


def table(models: list[str], init: str = "scratch", metrics: tuple[str, ...] = ("accuracy", "auc")) -> dict[str, Any]:
    return {"datasets": ["breastmnist-28"], "metrics": list(metrics), "rows": [[model, init] for model in models]}


def summary(root: Path, tables: dict[str, dict[str, Any]]) -> str:
    """What the abstract says of a study of STRONG and WEAK, whose scores fall in this order."""
    models = (STRONG, WEAK)
    path = make_study(root, datasets=("breastmnist",), models=models, diverged=(), tables=tables)
    for name, entry in tables.items():
        for file in (path.parent.parent / "fake/metrics" / name).glob("*.cells.csv"):
            with file.open(newline="") as opened:
                rows = list(csv.DictReader(opened))
            with file.open("w", newline="") as opened:
                writer = csv.DictWriter(opened, list(rows[0]))
                writer.writeheader()
                writer.writerows({**row, "init": entry["rows"][0][1]} for row in rows)
    study = Study.open(path)
    values.write(study, study.paper)
    return (study.paper / "summary.tex").read_text()


def test_the_best_of_a_later_table_is_the_best(tmp_path: Path) -> None:
    text = summary(tmp_path, {"first": table([WEAK]), "second": table([STRONG])})
    assert r"that of \val{best/auc/breastmnist-28/second} in [P,P,T,T] on " in text
    assert r"(macro AUC \val{best_value/auc/breastmnist-28/second})" in text and "/first}" not in text


def test_the_start_is_named_where_there_are_several(tmp_path: Path) -> None:
    text = summary(tmp_path, {"first": table([WEAK]), "second": table([STRONG], "pretrained")})
    assert r"\val{best/auc/breastmnist-28/second} (pretrained) in [P,P,T,T] on" in text
    alone = summary(tmp_path / "alone", {"first": table([WEAK])})
    assert r"that of \val{best/auc/breastmnist-28/first} on" in alone
    warm = summary(tmp_path / "warm", {"first": table([WEAK]), "second": table([STRONG], "warm")})
    assert "(warm start)" not in warm  # the value itself says so


def test_scores_of_different_metrics_are_not_compared(tmp_path: Path) -> None:
    tables = {"first": table([STRONG], metrics=("accuracy",)), "second": table([WEAK], metrics=("auc",))}
    assert r"that of \val{best/auc/breastmnist-28/second}" in summary(tmp_path, tables)
