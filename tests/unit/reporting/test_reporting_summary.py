"""The abstract's generated sentences are true of the whole study, however many tables it has."""

from pathlib import Path
from typing import Any

from fake_studies import make_study, rewrite

from tokenmix.reporting import values
from tokenmix.reporting.inputs import Study

WEAK, STRONG = "s12-tttt-pooling3", "s12-pptt-pooling3"
MODELS = (WEAK, "s12-tttt-pooling5", "s12-tttt-identity", "s12-tttt-local_attn5+slopes", "resnet18-k3", "resnet18-k5")


def table(models: list[str], init: str = "scratch", metrics: tuple[str, ...] = ("accuracy", "auc")) -> dict[str, Any]:
    return {"datasets": ["breastmnist-28"], "metrics": list(metrics), "rows": [[model, init] for model in models]}


def summary(root: Path, tables: dict[str, dict[str, Any]]) -> str:
    """What the abstract says of a study of STRONG and WEAK, whose scores fall in this order."""
    models = (STRONG, WEAK)
    path = make_study(root, datasets=("breastmnist",), models=models, diverged=(), tables=tables)
    for name, entry in tables.items():
        for file in (path.parent.parent / "fake/metrics" / name).glob("*.cells.csv"):
            rewrite(file, init=entry["rows"][0][1])
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


def test_mixers_and_baselines_are_those_of_the_study(tmp_path: Path) -> None:
    one = table(list(MODELS[:-1])) | {"baselines": ["resnet18-k3"]}
    two = table(["resnet18-k5"]) | {"baselines": ["resnet18-k5"]}
    tables = {"one": one, "two": two}
    study = Study.open(make_study(tmp_path, datasets=("breastmnist",), models=MODELS, diverged=(), tables=tables))
    registry = values.write(study, study.paper)
    assert registry["study/mixer_names"].text == "pooling, identity and local attention"
    assert registry["study/baseline_names"].text == "ResNet18"
    sentence = r"compares \val{study/mixer_names} as token mixers, next to \val{study/baseline_names}, on "
    assert sentence in (study.paper / "summary.tex").read_text()
    alone = summary(tmp_path / "alone", {"first": table([WEAK])})
    assert r"compares \val{study/mixer_names} as token mixers on \val{study/dataset_names}. " in alone


def test_seeds_are_those_of_a_cell(tmp_path: Path) -> None:
    path = make_study(tmp_path, datasets=("breastmnist",), models=(STRONG, WEAK), diverged=(),
                      tables={"many": table([STRONG]), "few": table([WEAK])})  # fmt: skip
    registry = values.build(Study.open(path))
    assert (registry["study/seeds"].value, registry["study/seeds"].text) == (3, "3")
    rewrite(path.parent.parent / "fake/metrics/few/breastmnist-28.cells.csv", seeds=1)
    registry = values.build(Study.open(path))
    assert (registry["study/seeds"].value, registry["study/seeds"].text) == (3, "up to 3")
