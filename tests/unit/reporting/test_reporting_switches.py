"""The table of switches, the rows that are reused, and what is said of runs that diverged."""

import csv
import json
from pathlib import Path
from typing import Any

from fake_studies import make_study
from test_reporting_remedies import climb

from tokenmix.reporting import appendix, tables, values
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.notes import Notes
from tokenmix.reporting.registry import Registry
from tokenmix.reporting.tex import key

KEY, MODEL = "breastmnist-28", "xs-tttt-local_attn3"
#: the second comparison
HYBRID = {"model": "s12-pptt-pooling5", "init": "pretrained"}
#: the first one, as keys and lines of the appendix name it
FIRST = f"{KEY}/{MODEL}/scratch"
SWITCHES = [
    {"name": "schedule lag", "setting": "training.schedule_lag", "corrected": False, "published": True, "here": True},
    {"name": "head dimension", "setting": "model.warm_heads", "corrected": "a", "published": "b_c", "here": "a"},
]


def edited(path: Path, **changes: Any) -> Study:
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, **changes}))
    return Study.open(path)


def compared(root: Path) -> Study:
    """A study whose section compares switches: corrected, one that matters, one that does not, and all."""
    path = make_study(root, diverged=())
    index = json.loads(path.read_text())
    own, other = (
        [run for run, entry in index["runs"].items() if run.startswith(f"{KEY}.{model}.")]
        for model in (MODEL, "xs-tttt-conv3")
    )
    behind = {"corrected": own, "schedule lag": other, "head dimension": own, "as_published": other}
    rows = []
    for variant, mean, ends in (("corrected", 0.8, ("", "", "")), ("schedule lag", 0.75, (-0.05, -0.09, -0.01))):
        for metric in ("accuracy", "balanced_accuracy", "auc", "f1"):
            row = {"variant": variant, "metric": metric, "mean": mean, "std": 0.02, "cases": 624, "status": "finished"}
            numbers = dict(zip(("difference", "difference_low", "difference_high"), ends, strict=True))
            for of in ({"model": MODEL, "init": "scratch"}, HYBRID):
                rows.append({**row, "dataset": KEY, **of, "runs": ";".join(behind[variant]), **numbers})
    file = root / "results/fake/metrics/switches.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    protocol = [{**switch, "sentence": f"What {switch['name']} does."} for switch in SWITCHES]
    first = {"dataset": KEY, "model": MODEL, "init": "scratch", "runs": behind}
    return edited(path, switches=[first, {**first, **HYBRID}], protocol=protocol)


def test_the_table_shows_what_each_switch_is_worth(tmp_path: Path) -> None:
    study = compared(tmp_path)
    tables.write(study, "switches", tmp_path)
    tex = (tmp_path / "switches.tex").read_text()
    assert "What schedule lag does." in tex and r"schedule lag\textsuperscript{*}" in tex
    assert r"\emph{local attention 3\ensuremath{\times}3 [T,T,T,T], from scratch, on breastmnist}" in tex
    assert r"\emph{pooling 5\ensuremath{\times}5 [P" in tex and "pretrained, on breastmnist" in tex
    assert tex.count("\nschedule lag & \\begin{tabular}") == 2
    assert "\nhead dimension &" not in tex.partition("tab:switches_worth")[2]
    assert "Of no effect in any of these trainings: head dimension." in tex
    assert tex.count(r"all of them & \multicolumn{3}{c}{\emph{the same as schedule lag}}") == 2
    assert "higher by construction" in tex
    registry = values.build(study)
    used = tex.split(r"\val{")[1:]
    assert all(text.partition("}")[0] in registry for text in used) and len(used) > 10
    value = registry[f"switch/schedule=20lag/auc/{FIRST}/difference"]
    assert value.value == -0.05 and "−0.05" in value.text.replace("-", "−")
    assert set(value.runs) == set(study.index["switches"][0]["runs"]["schedule lag"])
    # the printed number leads to the line that names its runs
    lines = appendix.runs_tex(study, registry)
    (line,) = [line for line in lines.splitlines() if rf"\tmxanchor{{{value.line}}}" in line]
    assert [rf"\tmxpage{{run={key(run)}}}" in line for run in value.runs] == [True] * 3
    rows = list(csv.DictReader((tmp_path / "switches.csv").open(newline="")))
    assert [row["difference"] for row in rows if row["switch"] == "schedule lag"] == ["-0.05"] * 8
    assert [row["mean"] for row in rows if row["switch"] == "head dimension"] == ["", ""]
    assert {(row["model"], row["init"]) for row in rows} == {(MODEL, "scratch"), tuple(HYBRID.values())}


def test_a_variant_that_needed_a_remedy_carries_its_mark(tmp_path: Path) -> None:
    study = compared(tmp_path)
    climb(study.path, KEY, 1, "#", {"batch_size": 64}, model="xs-tttt-conv3")
    tables.write(Study.open(study.path), "switches", tmp_path)
    rows = (tmp_path / "switches.tex").read_text().splitlines()
    marked = [row for row in rows if r"\val{" in row and r"\textsuperscript{\#}" in row]
    assert [row.partition(" &")[0] for row in marked] == ["schedule lag"] * 2 and marked[0].count(r"\#") == 3
    assert any("after a divergence" in row and "batch size 64" in row for row in rows)


def test_settings_of_the_study_are_not_those_of_its_switches(tmp_path: Path) -> None:
    study = compared(tmp_path)
    index = json.loads(study.path.read_text())
    switched = index["switches"][0]["runs"]["schedule lag"][0]
    file = study.results / "runs" / switched / "run.json"
    content = json.loads(file.read_text())
    content["spec"]["model_options"]["norm"] = "by_arrangement"
    file.write_text(json.dumps(content))
    assert values.build(Study.open(study.path))["model/norm"].text == "channel or by arrangement"
    index["runs"][switched]["tables"] = ["switches"]
    assert values.build(edited(study.path, runs=index["runs"]))["model/norm"].text == "channel"


def test_the_paper_names_the_switches_that_the_study_takes_back(tmp_path: Path) -> None:
    path = make_study(tmp_path)
    assert values.build(Study.open(path))["study/switched"].text == "none"
    study = edited(path, switched={"schedule lag": True, "reused rows": "reused"})
    assert values.build(study)["study/switched"].text == "schedule lag and reused rows"


def test_without_the_section_the_switches_are_listed_only(tmp_path: Path) -> None:
    study = edited(make_study(tmp_path), protocol=[{**switch, "sentence": "Does."} for switch in SWITCHES])
    tables.write(study, "switches", tmp_path)
    tex = (tmp_path / "switches.tex").read_text()
    assert "schedule lag" in tex and tex.count(r"\begin{longtable}") == 1 and r"\val{" not in tex
    assert [row["switch"] for row in csv.DictReader((tmp_path / "switches.csv").open(newline=""))] == [
        "schedule lag",
        "head dimension",
    ]
    assert not [key for key in Registry(values.build(study).values).values if key.startswith("switch/")]


def test_reused_rows_are_marked_and_explained(tmp_path: Path) -> None:
    path = make_study(tmp_path)
    entries = json.loads(path.read_text())["tables"]
    entries["classification_4t"]["reused"] = ["xs-tttt-pooling3"]
    study = edited(path, tables=entries)
    tex = tables.results_tex(study, study.first_table)
    assert r"Pooling\textsuperscript{\textparagraph} & 3" in tex
    assert r"\textsuperscript{\textparagraph}the runs of [T,T,T,T], reused as in the published study" in tex
    assert tex.count(r"\textparagraph") == 2


def note_of_diverged(root: Path, **epochs: int) -> str:
    """The note of a table whose run of each data set diverged, with the epoch of its published weights."""
    model = "xs-tttt-local_attn5"
    study = Study.open(make_study(root, diverged=[(name, model) for name in epochs]))
    notes = Notes(study, study.first_table)
    for name, epoch in epochs.items():
        for run in study.runs_of(study.first_table, f"{name}-28", (model, "scratch")):
            if study.run(run)["status"] == "diverged":
                study.run(run)["best"] = {"rung": 0, "epoch": epoch, "iteration": 0, "score": None}
    for name in epochs:
        notes.marks(f"{name}-28", (model, "scratch"))
    return notes.tex()


def test_initial_weights_are_not_called_a_good_checkpoint(tmp_path: Path) -> None:
    trained = note_of_diverged(tmp_path / "a", breastmnist=4)
    assert "the last good checkpoint is shown" in trained and "initial weights" not in trained
    never = note_of_diverged(tmp_path / "b", breastmnist=0)
    assert "initial weights are shown" in never and "last good checkpoint" not in never
    both = note_of_diverged(tmp_path / "c", breastmnist=0, pneumoniamnist=4)
    assert "last good checkpoint is shown, or the initial weights" in both
    assert all("takes no part in the ranking" in note for note in (trained, never, both))
