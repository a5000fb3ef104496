"""The registry holds what the stages before it computed, with its provenance."""

import csv
import json
import re
from pathlib import Path

import pytest
from fake_studies import MODELS, make_study, open_study

from tokenmix.errors import UserError
from tokenmix.files import sha256_file
from tokenmix.reporting import formats, tables, values
from tokenmix.reporting.appendix import runs_tex
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.registry import Registry
from tokenmix.reporting.tex import breakable

WORKFLOW = Path(__file__).parents[3] / "workflow" / "rules"


def test_a_cell_has_the_value_of_the_metrics_file_and_its_provenance(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    registry = values.build(study)
    with (study.folder / "metrics/classification_4t/breastmnist-28.cells.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "xs-tttt-local_attn5" and row["metric"] == "auc"]
    value = registry["auc/breastmnist-28/xs-tttt-local_attn5/scratch"]
    assert value.value == float(rows[0]["mean"])
    assert value.text == f"{float(rows[0]['mean']):.3f}"
    assert list(value.runs) == rows[0]["runs"].split(";")
    assert (value.n, value.rule) == (624, "evaluate")
    assert value.config == "workflow/studies/fake.yaml:12"
    assert registry["auc/breastmnist-28/xs-tttt-local_attn5/scratch/std"].value == float(rows[0]["std"])


def test_title_and_licence_are_the_present_ones_not_those_of_the_prepared_images(tmp_path: Path) -> None:
    path = make_study(tmp_path)
    index = json.loads(path.read_text())
    index["datasets"]["breastmnist-28"]["about"] = {"title": "Ours", "licence": "CC0", "doi": "10.1"}
    path.write_text(json.dumps(index))
    study = Study.open(path)
    registry = values.build(study)
    assert (registry["data/breastmnist-28/title"].text, registry["data/breastmnist-28/licence"].text) == ("Ours", "CC0")
    assert registry["data/breastmnist-28/test"].value == 624
    tables.write(study, "datasets", tmp_path)
    with (tmp_path / "datasets.csv").open() as file:
        shown = {row["dataset"]: (row["title"], row["licence"], row["test"]) for row in csv.DictReader(file)}
    assert shown["breastmnist-28"] == ("Ours", "CC0", "624")
    assert breakable("10.1") in runs_tex(study, registry)


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    registry = values.build(open_study(tmp_path, seeds=(0,)))
    assert "auc/breastmnist-28/xs-tttt-conv3/scratch" in registry
    assert "auc/breastmnist-28/xs-tttt-conv3/scratch/std" not in registry
    assert "seed_noise/auc/breastmnist-28" not in registry


def test_the_newest_run_dates_the_study(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    registry = values.build(study)
    assert registry["study/computed"].text == "2026-02-05"
    assert registry["study/commit"].text == "2badcafe"
    run = next(iter(study.index["runs"]))
    path = study.results / "runs" / run / "run.json"
    content = json.loads(path.read_text())
    content["execution"]["ended"] = "2026-03-01T10:00:00+00:00"
    content["git"] = {"commit": "feed" * 10, "dirty": True}
    path.write_text(json.dumps(content))
    registry = values.build(open_index(study.path))
    assert registry["study/computed"].text == "2026-03-01"
    assert registry["study/commit"].text == "feedfeed (edited)"


def open_index(path: Path):
    from tokenmix.reporting.inputs import Study

    return Study.open(path)


def test_the_registry_reads_back_as_it_was_written(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    written = values.write(study, study.paper)
    assert Registry.read(study.paper / "values.json").values == written.values
    tex = (study.paper / "values.tex").read_text()
    assert "\\phantomsfalse" in tex
    assert tex.count("\\tmxvalue{") == len(written.values)


def test_a_protocol_that_differs_between_runs_is_a_range(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    run = next(iter(study.index["runs"]))
    path = study.results / "runs" / run / "run.json"
    content = json.loads(path.read_text())
    content["spec"]["training"].update(lr=0.0001, precision="bf16")
    path.write_text(json.dumps(content))
    registry = values.build(open_index(study.path))
    assert registry["training/lr"].text == "0.0001 to 0.001"
    assert set(registry["training/precision"].text.split(" or ")) == {"bf16", "fp32"}
    assert registry["training/iterations"].text == "600"


def test_counts_say_what_they_count(tmp_path: Path) -> None:
    registry = values.build(open_study(tmp_path, models=("xs-tttt-local_attn5", "xs-tttt-local_attn5+slopes")))
    units = {
        "params/xs-tttt-local_attn5/breastmnist-28": "parameters",
        "added_params/xs-tttt-local_attn5+slopes/breastmnist-28": "parameters",
        "macs/xs-tttt-local_attn5/breastmnist-28": "MAC",
        "data/breastmnist-28/test": "cases",
        "data/breastmnist-28/size": "pixels",
        "study/diverged": "runs",
        "study/train_hours": "h",
    }
    assert {name: registry[name].unit for name in units} == units
    whole = [name for name, value in registry.values.items() if name.startswith(("study/", "data/"))
             and value.format == "count" and not value.unit]  # fmt: skip
    assert whole == []


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    registry = values.build(open_study(tmp_path))
    with pytest.raises(
        UserError, match=r"no value has the key auc/breastmnst-28.*auc/breastmnist-28/xs-tttt-conv3/scratch"
    ):
        registry["auc/breastmnst-28/xs-tttt-conv3/scratch"]


def test_findings_name_the_best_and_the_divergence(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    registry = values.write(study, study.paper)
    assert registry["best/auc/breastmnist-28"].value == "xs-tttt-pooling3"
    assert (
        registry["best_value/auc/breastmnist-28"].value == registry["auc/breastmnist-28/xs-tttt-pooling3/scratch"].value
    )
    assert registry["compared/auc/pneumoniamnist-28/classification_4t"].value == 7
    assert registry["diverged/auc/pneumoniamnist-28"].value == 1
    gap = (
        registry["best_value/auc/breastmnist-28"].value - registry["auc/breastmnist-28/xs-tttt-identity/scratch"].value
    )
    assert registry["gain/auc/breastmnist-28"].value == pytest.approx(gap)
    breast, pneumonia = (study.paper / "findings.tex").read_text().split("\\paragraph")[1:]
    assert "diverged" in pneumonia
    assert "diverged" not in breast


@pytest.mark.parametrize("correction", ["holm", "none"])
def test_models_tie_where_the_test_does_not_tell_them_apart(tmp_path: Path, correction: str) -> None:
    path = make_study(tmp_path, diverged=())
    index = json.loads(path.read_text())
    index["evaluation"]["correction"] = correction
    path.write_text(json.dumps(index))
    file = tmp_path / "results/fake/metrics/classification_4t/breastmnist-28.pairs.csv"
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    # the interval alone does not decide: here two rivals of the best are not significant, though theirs excludes 0
    for row in rows:
        row["low"], row["high"] = "0.01", "0.02"
        row["significant"] = str(int({row["model_a"], row["model_b"]} & {MODELS[2], MODELS[4]} == set()))
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    study = open_index(path)
    registry = values.write(study, study.paper)
    assert registry["ties/auc/breastmnist-28"].value == 2
    words = {"holm": "Holm's correction for all pairs", "none": "uncorrected"}[correction]
    assert f"paired bootstrap, {words}" in (study.paper / "findings.tex").read_text()


def test_a_missing_file_is_one_message(tmp_path: Path) -> None:
    path = make_study(tmp_path)
    (tmp_path / "results/fake/metrics/classification_4t/pneumoniamnist-28.cells.csv").unlink()
    with pytest.raises(UserError, match=r"pneumoniamnist-28\.cells\.csv is missing"):
        values.build(open_index(path))
    run = next((tmp_path / "results/runs").iterdir())
    for name, read in (("history.csv", Study.history), ("run.json", Study.run)):
        (run / name).unlink()
        with pytest.raises(UserError, match=rf"{name} is missing; make it again: snakemake \S*{run.name}/{name} --con"):
            read(open_index(path), run.name)
    for run in (tmp_path / "results/runs").iterdir():
        (run / "run.json").unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"; it and 47 more: snakemake --forcerun publish --until publish --config"):
        assert open_index(path).newest


def test_a_learning_curve_that_was_edited_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    path = make_study(tmp_path)
    run = next((tmp_path / "results/runs").iterdir())
    curve, attestation = run / "history.csv", json.loads((run / "run.json").read_text())
    attestation["outputs"]["history.csv"] = sha256_file(curve)
    (run / "run.json").write_text(json.dumps(attestation))
    assert open_index(path).history(run.name)
    curve.write_text(curve.read_text().replace("0.", "0.9", 1))
    mended = rf"publish it again: rm \S*/history\.csv && snakemake \S*{run.name}/history\.csv --config study=fake"
    with pytest.raises(UserError, match=mended):
        open_index(path).history(run.name)


@pytest.mark.parametrize(
    "content", ["[]", "3", '{"a": 3}', '{"a": {}}', '{"a": {"runs": 3}}', '{"a": {"runs": [], "no_field": 1}}']
)
def test_a_file_that_holds_no_values_is_one_message(tmp_path: Path, content: str) -> None:
    (tmp_path / "values.json").write_text(content)
    with pytest.raises(UserError, match=r"values\.json holds no values"):
        Registry.read(tmp_path / "values.json")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"metric", b"metrc", "other columns than expected .'metric'"),
        (b"\n", b"\nx,y\n", "rows of different length"),
        (b"0.", b"O.", "could not convert string to float"),
        (b"metric", b"\xff", "cannot be read as CSV"),
    ],
)
@pytest.mark.parametrize("kind", ["cells", "pairs"])
def test_damaged_metrics_are_one_message(tmp_path: Path, kind: str, old: bytes, new: bytes, message: str) -> None:
    path = make_study(tmp_path)
    file = tmp_path / f"results/fake/metrics/classification_4t/pneumoniamnist-28.{kind}.csv"
    file.write_bytes(file.read_bytes().replace(old, new, 1))
    with pytest.raises(UserError, match=rf"pneumoniamnist-28\.{kind}\.csv.*{message}"):
        values.build(open_index(path))


@pytest.mark.parametrize(
    ("number", "text"),
    [(1_834_000_000, "1.83 G"), (11_402_176, "11.4 M"), (999_900, "1.00 M"), (512, "512"), (0, "0")],
)
def test_quantities_have_three_digits(number: int, text: str) -> None:
    assert formats.quantity(number) == text.replace(" ", "\u202f")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(95, "95 seconds"), (600, "10.0 minutes"), (36000, "10.0 hours"), (9e5, "10.4 days")],
)
def test_durations_choose_their_unit(seconds: float, text: str) -> None:
    assert formats.hours(seconds) == text.replace(" ", "\u202f")


def test_every_value_says_how_it_was_computed_printed_and_from_what(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    rules = {name for file in WORKFLOW.glob("*.smk") for name in re.findall(r"^rule (\w+):", file.read_text(), re.M)}
    for key, value in values.build(study).values.items():
        assert value.how and value.line and value.rule in rules, key
        for file in value.files:
            assert (study.folder / file).is_file() or Path(file).is_file(), key
        assert value.files or value.line == f"value:{key}", key
        assert set(value.runs) <= set(study.index["runs"]), key
        # a value of its own format is printed by it; durations are kept in hours, commits without their mark
        if value.format in ("score", "count", "quantity", "percent", "date") and value.value is not None:
            if key != "reported/share":
                assert value.text == getattr(formats, value.format)(value.value), key
        else:
            assert value.format in ("text", "score", "percent", "setting", "hours", "commit", "enumerate_words"), key


def test_a_number_of_a_cell_has_every_part_of_its_provenance(tmp_path: Path) -> None:
    value = values.build(open_study(tmp_path))["auc/breastmnist-28/xs-tttt-local_attn5/scratch"]
    assert (value.format, value.n, value.rule) == ("score", 624, "evaluate")
    assert value.files == ("metrics/classification_4t/breastmnist-28.cells.csv",)
    assert value.how == "macro AUC on the test split, mean over 3 seeds" and len(value.runs) == 3
