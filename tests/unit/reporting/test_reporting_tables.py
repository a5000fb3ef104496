"""Tables mark what stands out, and say in footnotes what their numbers do not."""

import csv
import json
import re
from pathlib import Path

import pytest
from fake_studies import ALL_MODELS, MODELS, make_study, open_study

from tokenmix.errors import UserError
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.ranking import rank
from tokenmix.reporting.tables import results_tex, write


def table_tex(study: Study) -> str:
    return results_tex(study, study.tables["classification_4t"])


def cell(tex: str, at: str) -> str:
    """What stands between the two `&` around a value."""
    found = [part for part in re.split(r" & |\\\\", tex) if f"{{{at}}}" in part]
    assert len(found) == 1
    return found[0].strip()


def test_best_and_not_significantly_worse_are_marked(tmp_path: Path) -> None:
    tex = table_tex(open_study(tmp_path))
    assert cell(tex, "auc/breastmnist-28/xs-tttt-pooling3/scratch").startswith("\\textbf{\\val{")
    # the fake intervals reach 0.02 to both sides, models lie about 0.012 apart
    assert cell(tex, "auc/breastmnist-28/xs-tttt-conv3/scratch").startswith("\\underline{\\val{")
    assert cell(tex, "auc/breastmnist-28/xs-tttt-identity/scratch").startswith("\\val{")


def test_a_diverged_cell_keeps_its_value_with_a_dagger_and_is_not_ranked(tmp_path: Path) -> None:
    study = open_study(tmp_path, diverged=(("breastmnist", MODELS[0]),))
    tex = table_tex(study)
    shown = cell(tex, f"auc/breastmnist-28/{MODELS[0]}/scratch")
    assert "\\textdagger" in shown
    assert "textbf" not in shown
    assert cell(tex, f"auc/breastmnist-28/{MODELS[1]}/scratch").startswith("\\textbf")
    assert "training diverged" in tex
    assert "\\textdagger" not in table_tex(open_study(tmp_path / "b", diverged=()))


def test_the_dagger_of_one_data_set_does_not_mark_the_other(tmp_path: Path) -> None:
    tex = table_tex(open_study(tmp_path, diverged=(("breastmnist", MODELS[0]),)))
    assert "\\textdagger" not in cell(tex, f"auc/pneumoniamnist-28/{MODELS[0]}/scratch")


def test_models_that_compute_the_same_function_are_not_ranked_against_each_other(tmp_path: Path) -> None:
    study = open_study(tmp_path, coinciding=[MODELS[:2]], diverged=())
    table = study.tables["classification_4t"]
    ranking = rank(study, table, "breastmnist-28", "auc")
    assert MODELS[1] not in [member.model for member in ranking.cells]
    assert MODELS[1] not in ranking.ties
    tex = table_tex(study)
    assert "\\textdaggerdbl" in cell(tex, f"auc/breastmnist-28/{MODELS[1]}/scratch")
    assert "\\textdaggerdbl" not in cell(tex, f"auc/breastmnist-28/{MODELS[0]}/scratch")
    assert "the same function as another row" in tex


def test_one_seed_shows_intervals_in_place_of_a_spread(tmp_path: Path) -> None:
    tex = table_tex(open_study(tmp_path, seeds=(0,)))
    assert "\\val{auc/breastmnist-28/xs-tttt-conv3/scratch/low}" in tex
    assert "/std}" not in tex
    assert "One seed" in tex


def test_notes_tell_of_devices_and_libraries(tmp_path: Path) -> None:
    path = make_study(tmp_path, diverged=())
    study = Study.open(path)
    assert "Runs differ" not in table_tex(study)
    run = next(run for run, entry in study.index["runs"].items() if entry["model"] == MODELS[1])
    attestation = study.results / "runs" / run / "run.json"
    content = json.loads(attestation.read_text())
    content["execution"]["device"] = "NVIDIA A100_80GB"
    content["libraries"]["torch"] = "2.14.0"
    content["initial_weights"] = {"checkpoint": "resnet18", "sha256": "1" * 64, "tensors": []}
    attestation.write_text(json.dumps(content))
    other = next(path for path in (study.results / "runs").glob("*/run.json") if path != attestation)
    content["initial_weights"]["sha256"] = "2" * 64
    other.write_text(json.dumps({**json.loads(other.read_text()), "initial_weights": content["initial_weights"]}))
    tex = table_tex(Study.open(path))
    assert "Runs differ in their device: CPU: AMD EPYC 7763 64-Core Processor and NVIDIA A100\\_80GB." in tex
    assert "Runs differ in torch: 2.14.0 and 2.15.0." in tex
    assert "Runs differ in the file of resnet18: 11111111 and 22222222." in tex
    assert "numpy" not in tex


def test_a_note_tells_where_a_kernel_covers_the_whole_map(tmp_path: Path) -> None:
    study = open_study(tmp_path, models=("xs-tttt-conv7", "xs-tttt-conv3"), diverged=())
    note = "A window covers the whole map at 28 pixels in stages 3 and 4 for k = 7."
    assert note in results_tex(study, study.first_table)
    for entry in study.index["runs"].values():
        entry["global_stages"] = []
    assert "whole map" not in results_tex(study, study.first_table)


def test_many_data_sets_become_several_floats_of_one_table(tmp_path: Path) -> None:
    names = ("path", "derma", "pneumonia", "organs", "nodule", "woof")
    study = open_study(tmp_path, datasets=names, models=ALL_MODELS, diverged=())
    tex = table_tex(study)
    # one model has an extension: beside the columns of parameters there is room for one data set
    assert tex.count("\\begin{table}") == 4
    assert tex.count("\\ContinuedFloat") == 3
    assert tex.count("\\label{tab:classification_4t}") == 1
    for name in names:
        for model in ALL_MODELS:
            assert tex.count(f"\\val{{auc/{name}-28/{model}/scratch}}") == 1


def test_the_csv_holds_every_cell(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    write(study, "classification_4t", tmp_path / "out")
    with (tmp_path / "out/classification_4t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(MODELS) * 2 * 3
    diverged = {(row["dataset"], row["model"]) for row in rows if row["status"] == "diverged"}
    assert diverged == {("pneumoniamnist-28", "xs-tttt-local_attn5")}


def test_one_table_needs_nothing_of_another(tmp_path: Path) -> None:
    base = {
        "caption": "",
        "metrics": ["auc"],
        "arrangement": "tttt",
        "init": "scratch",
        "rows": [[model, "scratch"] for model in MODELS],
    }
    tables = {
        "one": {**base, "datasets": ["breastmnist-28"]},
        "two": {**base, "datasets": ["pneumoniamnist-28"]},
    }
    path = make_study(tmp_path, tables=tables)
    content = json.loads(path.read_text())
    for run, entry in content["runs"].items():
        entry["tables"] = ["one"] if entry["dataset"] == "breastmnist" else ["two"]
        if entry["tables"] == ["two"]:
            (tmp_path / "results/runs" / run / "run.json").unlink()
    path.write_text(json.dumps(content))
    for file in (tmp_path / "results/fake/metrics/two").iterdir():
        file.unlink()
    (tmp_path / "data/pneumoniamnist-28/card.json").unlink()
    write(Study.open(path), "one", tmp_path / "out")
    assert "\\val{auc/breastmnist-28/xs-tttt-conv3/scratch}" in (tmp_path / "out/one.tex").read_text()


def test_an_unknown_table_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose one of datasets, switches, classification_4t"):
        write(open_study(tmp_path), "classification_4T", tmp_path)
