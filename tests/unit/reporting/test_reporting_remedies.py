"""Cells whose runs needed a remedy carry its mark in tables of every layout, and a footnote says what it was."""

import json
import re
import shutil
from pathlib import Path

import pytest
from fake_studies import MODELS, PUBLISHED, make_study

from tokenmix.reporting import reported, values
from tokenmix.reporting.claims.judge import judge_claims
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.tables import write

KEYS = ["breastmnist-28", "pneumoniamnist-28"]


def shown(path: Path, layout: str) -> str:
    """The table's TeX in one layout."""
    content = json.loads(path.read_text())
    content["tables"]["classification_4t"]["layout"] = layout
    path.write_text(json.dumps(content))
    study = Study.open(path)
    write(study, "classification_4t", study.paper / "tables")
    return (study.paper / "tables/classification_4t.tex").read_text()


def climb(
    path: Path, dataset: str, rung: int, mark: str, changes: dict, *, trained_as: str = "", model: str = MODELS[1]
) -> None:
    """One seed of a model ends with a rung of the ladder, whose mark may have been another in training."""
    content = json.loads(path.read_text())
    name = next(run for run in content["runs"] if run.startswith(f"{dataset}.{model}."))
    file = path.parent.parent / "runs" / name / "run.json"
    attestation = json.loads(file.read_text())
    attestation["mark"] = trained_as or mark
    attestation["rungs"] = [{"rung": number, "status": "diverged"} for number in range(rung)]
    attestation["rungs"].append({"rung": rung, "mark": attestation["mark"], "status": "finished"})
    attestation["best"]["rung"] = rung
    file.write_text(json.dumps(attestation))
    rungs = [{"mark": ""}] * rung + [{"mark": mark, **changes}]
    (path.parent / f"{name}.json").write_text(json.dumps({"rungs": rungs}))


def describe(path: Path, notes: dict[str, str]) -> None:
    """The footnotes of marks as the config has them now."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "remedies": notes}))


def marked(tex: str, dataset: str, model: str) -> str:
    """The mark behind a cell's AUC, which stands before or behind its spread."""
    found = re.search(rf"auc/{dataset}/{model}/scratch\}}(.*?)(&|\\\\$|\\\\\\\\)", tex, re.M)
    assert found
    return "".join(re.findall(r"\\textsuperscript\{(.*?)\}", found[1]))


@pytest.mark.parametrize("layout", ["models", "datasets"])
def test_the_mark_stands_at_its_cell_and_the_footnote_says_what_changed(tmp_path: Path, layout: str) -> None:
    path = make_study(tmp_path, diverged=())
    assert "after a divergence" not in shown(path, layout)
    climb(path, KEYS[0], 2, "#", {"lr": 0.0001, "batch_size": 64})
    tex = shown(path, layout)
    assert marked(tex, KEYS[0], MODELS[1]) == r"\#"
    assert marked(tex, KEYS[1], MODELS[1]) == marked(tex, KEYS[0], MODELS[0]) == ""
    assert tex.count("after a divergence") == 1
    assert re.search(r"\\textsuperscript\{\\#\}after a divergence, .*: batch size 64 and lr 0.0001\.", tex)


@pytest.mark.parametrize("layout", ["models", "datasets"])
def test_the_configs_own_words_and_its_present_mark_are_used(tmp_path: Path, layout: str) -> None:
    path = make_study(tmp_path, diverged=())
    climb(path, KEYS[0], 1, "*", {"lr": 0.0001}, trained_as="old")
    describe(path, {"*": "a tenth of the rate & twice as long."})
    tex = shown(path, layout)
    assert marked(tex, KEYS[0], MODELS[1]) == "*"
    assert r"\textsuperscript{*}after a divergence" in tex
    assert r": a tenth of the rate \& twice as long." in tex
    assert "{old}" not in tex


def test_one_mark_with_two_meanings_names_the_data_sets(tmp_path: Path) -> None:
    path = make_study(tmp_path, diverged=())
    for key, batch in zip(KEYS, (64, 32), strict=True):
        climb(path, key, 1, "*", {"batch_size": batch})
    tex = shown(path, "models")
    assert "batch size 64 (breastmnist); batch size 32 (pneumoniamnist)." in tex
    assert tex.count("after a divergence") == 1


def test_a_remedy_that_did_not_help_keeps_the_dagger(tmp_path: Path) -> None:
    path = make_study(tmp_path, diverged=[("breastmnist", MODELS[1])])
    climb(path, KEYS[0], 1, "*", {"lr": 0.0001})
    assert marked(shown(path, "models"), KEYS[0], MODELS[1]).endswith("*")
    assert "\\textdagger" in marked(shown(path, "models"), KEYS[0], MODELS[1])


@pytest.mark.parametrize(("best", "mark"), [(0, ""), (1, "*")])
def test_where_every_rung_diverged_the_mark_is_that_of_the_shown_one(tmp_path: Path, best: int, mark: str) -> None:
    path = make_study(tmp_path, diverged=[("breastmnist", MODELS[1])])
    climb(path, KEYS[0], 3, "+", {"lr": 0.0001})
    for file in path.parent.parent.glob(f"runs/{KEYS[0]}.{MODELS[1]}.*/run.json"):
        attestation = json.loads(file.read_text())
        plan = path.parent / f"{file.parent.name}.json"
        if plan.is_file():
            file.write_text(json.dumps(attestation | {"best": {**attestation["best"], "rung": best}}))
            rungs = json.loads(plan.read_text())["rungs"]
            plan.write_text(json.dumps({"rungs": [rungs[0], {"mark": "*", "lr": 0.0001}, *rungs[2:]]}))
    assert marked(shown(path, "models"), KEYS[0], MODELS[1]).removeprefix(r"\textdagger") == mark


def test_the_table_of_reported_values_has_the_marks_and_their_footnote(tmp_path: Path) -> None:
    models = ("s12-tttt-conv3", "s12-tttt-local_attn5")
    path = make_study(tmp_path, datasets=("pathmnist",), models=models, size=224, diverged=())
    climb(path, "pathmnist-224", 1, "*", {"lr": 0.0001}, model=models[1])
    study = Study.open(path)
    reported.write(study, PUBLISHED, study.paper / "tables")
    tex = (study.paper / "tables/reported.tex").read_text()
    rows = [line for line in tex.splitlines() if r"\val{" in line and line.endswith(r" \\")]
    assert {
        model: {r"pathmnist\textsuperscript{*} " in row for row in rows if f"/{model}/" in row} for model in models
    } == {
        models[0]: {False},
        models[1]: {True},
    }
    assert tex.count(r"\textsuperscript{*}after a divergence") == 1 and "lr 0.0001." in tex


def test_a_run_that_a_remedy_rescued_counts_as_diverged_and_refutes_the_claim(tmp_path: Path) -> None:
    path = make_study(tmp_path, diverged=())
    claims = tmp_path / "claims"
    claims.mkdir()
    shutil.copy(PUBLISHED.parent / "claims.yaml", claims)

    def told() -> tuple[int, int, int, str]:
        study = Study.open(path)
        registry = values.build(study)
        numbers = [registry[f"study/{name}"].value for name in ("table_runs", "diverged", "remedied")]
        return *numbers, judge_claims(study, claims, registry)["trainings_are_stable"].state

    assert told() == (48, 0, 0, "holds")
    climb(path, KEYS[0], 1, "*", {"lr": 0.0001})
    assert told() == (48, 1, 1, "fails")
    # one of the runs that only stand in the comparison of switches is none of the protocol
    content = json.loads(path.read_text())
    content["runs"][next(run for run in content["runs"] if f".{MODELS[1]}." in run)]["tables"] = ["switches"]
    path.write_text(json.dumps(content))
    assert told() == (47, 0, 0, "holds")
