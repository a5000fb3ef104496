"""`tokenmix why` after edits of config, code and data."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import traced_study

from tokenmix.cli import main
from tokenmix.files import sha256_file
from tokenmix.reporting.inputs import Study
from tokenmix.study import cost


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, made once."""
    folder = tmp_path_factory.mktemp("traced")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        traced_study.make(folder)
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A copy of it as the current folder."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    (index,) = Path("results/plan").glob("full.*.json")
    return Study.open(index)


@pytest.fixture
def why(study: Study, capsys: pytest.CaptureFixture[str]) -> Callable[[str], dict]:
    """What `tokenmix why --json` says."""

    def why(target: str) -> dict:
        assert main(["why", target, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return why


def edit(old: str, new: str) -> None:
    path = Path("config.yaml")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def note(file: str, *params: object, inputs: tuple[str, ...] = ()) -> None:
    """What Snakemake notes of an output that it made."""
    path = Path(".snakemake/metadata", base64.urlsafe_b64encode(file.encode()).decode())
    path.parent.mkdir(parents=True, exist_ok=True)
    checksums = {name: f"sha256:{sha256_file(name)}" for name in inputs}
    path.write_text(json.dumps({"params": [repr(param) for param in params], "input_checksums": checksums}))
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).touch()


def test_a_changed_field_is_named_with_its_line_and_its_price(study, why) -> None:
    found = why("phantom_tissue")
    assert found.pop("cost").items() >= {"runs": 0, "cpu_core_hours": 0, "gpu_hours": 0}.items()
    assert found == {"target": "phantom_tissue", "runs": 6, "reasons": [], "unknown": []}
    edit("lr: 1.0e-3", "lr: 2.0e-3")
    found = why("phantom_tissue-28")
    (reason,) = found["reasons"]
    assert (reason["text"], reason["where"]) == ("training.lr 0.001 -> 0.002", "config.yaml:4")
    assert len(reason["stale"]) == 6 and all(run.startswith("phantom_tissue-28.") for run in reason["stale"])
    half = cost.estimate([run for run in study.index["runs"].values() if run["dataset"] == "phantom_tissue"])
    assert found["cost"]["gpu_hours"] == pytest.approx(half.gpu_hours) and found["cost"]["runs"] == 6


def test_a_setting_of_one_data_set_is_looked_for_there(study, why) -> None:
    edit("phantom_organs: {size: 28}", "phantom_organs: {size: 28, training: {lr: 0.5}}")
    assert why("phantom_tissue")["reasons"] == []
    (reason,) = why("phantom_organs")["reasons"]
    assert (reason["text"], reason["where"]) == ("training.lr 0.001 -> 0.5", "config.yaml:7")


def test_a_run_is_known_by_its_name_and_its_cell(study, why) -> None:
    run = next(iter(study.index["runs"]))
    shutil.rmtree(f"results/runs/{run}")
    for target in (run, run.rpartition(".")[0]):
        found = why(target)
        assert [reason["text"] for reason in found["reasons"]] == [
            "is finished in the store and only needs to be published"
        ]
        assert found["cost"]["runs"] == 0
    shutil.rmtree(f"results/store/{run}")
    found = why("table_small")
    assert found["reasons"][0]["text"] == "was not trained yet" and found["reasons"][0]["stale"] == [run]
    assert found["cost"]["runs"] == 1


def test_new_data_are_named(study, why) -> None:
    data = next(folder for folder in Path("data").iterdir() if folder.name.startswith("phantom_tissue"))
    shutil.rmtree(data)
    (reason,) = why("phantom_tissue")["reasons"]
    assert (reason["kind"], reason["text"], reason["stale"]) == ("data", "was not prepared yet", [str(data)])
    own = Path(f"results/plan/data/{data.name}.json")
    other = json.loads(own.read_text())
    other["parameters"]["splits"]["test"] = 7
    own.with_name("phantom_tissue-28.00000000.json").write_text(json.dumps(other))
    (reason,) = why("phantom_tissue")["reasons"]
    assert reason["text"].startswith("data: parameters.splits.test 7 -> ")


def test_settings_and_code_of_a_table_are_held_against_what_made_it(study, why) -> None:
    table = study.index["tables"]["small"]
    code = study.index["code"]
    metrics = [f"results/full/metrics/small/{dataset}.csv" for dataset in table["datasets"]]
    for file in metrics:
        note(file, code["evaluation"], "results/full/metrics/small", json.dumps(study.index["evaluation"]))
    shown = json.dumps(table), json.dumps(study.index["remedies"])
    note("results/full/paper/tables/small.tex", code["tables"], *shown)
    found = why("table_small")
    assert found["reasons"] == [] and found["unknown"] == []
    edit("bootstrap: 100", "bootstrap: 200")
    (reason,) = why("small")["reasons"]
    assert reason["text"] == "evaluation.bootstrap 100 -> 200 (rule evaluate)" and reason["stale"] == metrics
    assert reason["where"] == "config.yaml:6"
    edit("bootstrap: 200", "bootstrap: 100")
    # made by other code, whose modules are on record
    listing = Path(f"results/plan/stages/{code['tables'][:8]}.json")
    old = {**json.loads(listing.read_text()), "tokenmix.reporting.tables": "0" * 64}
    listing.with_name("00000000.json").write_text(json.dumps(old))
    note("results/full/paper/tables/small.tex", "0" * 64, *shown)
    (reason,) = why("small")["reasons"]
    assert reason["text"] == "tokenmix.reporting.tables (changed) (rule table)"


def test_an_edited_title_and_another_order_of_tables_reach_the_pdf(study, why) -> None:
    second = "  second: {scale: xs, metrics: [auc], mixers: {pooling: [3]}}\n"
    edit("{pooling: [3], local_attn: [3, 5]}}\n", "{pooling: [3], local_attn: [3, 5]}}\n" + second)
    edit("seeds: [0, 1]", "seeds: [0, 1]\ntitle: a {b}\npaper_tables: [small, second]")
    order = {"paper_tables": ["small", "second"]}
    values, figure = (f"results/full/paper/{name}" for name in ("values.json", "figures/curves.pdf"))
    note(values, study.index["code"]["values"], json.dumps({"title": "a {b}", "switched": {}, **order}))
    note(figure, study.index["code"]["figures"], json.dumps(order))

    def told(target: str) -> set[tuple[str, str, str]]:
        return {(reason["text"], reason["where"], file) for reason in why(target)["reasons"]
                for file in reason["stale"] if "->" in reason["text"] and file in (values, figure)}  # fmt: skip

    assert told("pdf") == set()
    edit("title: a {b}", "title: c")
    title = ("title a {b} -> c (rule values)", "config.yaml:4", values)
    assert told("pdf") == told("values") == {title} and told("figures") == set()
    edit("[small, second]", "[second, small]")
    change = 'paper_tables ["small", "second"] -> ["second", "small"]'
    drawn = (f"{change} (rule figure)", "config.yaml:5", figure)
    assert told("pdf") == {title, drawn, (f"{change} (rule values)", "config.yaml:5", values)}
    assert told("figure_curves") == {drawn}


def test_an_edited_licence_makes_the_table_of_data_sets_stale(study, why) -> None:
    file, code = "results/full/paper/tables/datasets.tex", study.index["code"]["tables"]
    about = {key: dict(entry["about"]) for key, entry in study.index["datasets"].items()}
    note(file, json.dumps({"about": about}), code)
    assert [reason for reason in why("table_datasets")["reasons"] if file in reason["stale"]] == []
    about["phantom_tissue-28"]["licence"] = "as it was"
    note(file, json.dumps({"about": about}), code)
    (reason,) = [reason for reason in why("table_datasets")["reasons"] if file in reason["stale"]]
    assert reason["text"].startswith("about.phantom_tissue-28.licence as it was -> ")


def test_an_edit_of_the_manuscript_or_of_a_claim_is_named(study, why) -> None:
    sources = ("paper/claims.yaml", "paper/main.tex", "paper/sections/old.tex", "paper/drawings/sketch.png")
    for name in sources:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("as it was")
    pdf, claims, values = (f"results/full/{name}" for name in ("paper.pdf", "paper/claims.json", "paper/values.json"))
    note(pdf, study.index["code"]["paper"], inputs=(*sources[1:], values))
    note(claims, study.index["code"]["claims"], inputs=(sources[0], values))

    def edited(target: str) -> set[tuple[str, str]]:
        return {(reason["text"], file) for reason in why(target)["reasons"] for file in reason["stale"]
                if reason["text"].startswith(("paper/", "results/"))}  # fmt: skip

    assert edited("pdf") == set()
    Path("paper/claims.yaml").write_text("as it is")
    Path("paper/main.tex").write_text("as it is")
    Path("paper/sections/old.tex").unlink()
    Path("paper/drawings/sketch.png").write_text("as it is")
    Path(values).write_text("{}")  # what a rule makes is named by the causes of its own
    claim = ("paper/claims.yaml (changed) (rule claims)", claims)
    drawn = {("paper/drawings/sketch.png (changed) (rule pdf)", pdf)}
    text = drawn | {
        ("paper/main.tex (changed) (rule pdf)", pdf),
        ("paper/sections/old.tex (no longer used) (rule pdf)", pdf),
    }
    assert edited("pdf") == edited("archive") == {claim} | text
    assert edited("claims") == {claim} and edited("tables") == edited("values") == set()


@pytest.mark.parametrize(
    ("target", "files"),
    [
        ("tables", {"paper/tables/small.tex", "paper/tables/datasets.tex"}),
        ("figures", {"paper/figures/ranks.pdf", "metrics/small/ranks.csv"}),
        ("values", {"paper/values.json", "metrics/small/phantom_tissue-28.csv", "profile/models.csv"}),
        ("claims", {"paper/values.json", "paper/claims.json"}),
        ("report", {"report.html", "paper/values.json", "paper/claims.json", "metrics/small/phantom_tissue-28.csv"}),
        ("arxiv", {"paper.pdf", "arxiv.tar.gz"}),
        ("crate", {"paper.pdf", "report.html", "archive.zip"}),
        ("archive", {"paper.pdf", "report.html", "archive.zip", "arxiv.tar.gz"}),
    ],
)
def test_parts_of_the_paper_and_archives_are_targets(study, why, target: str, files: set[str]) -> None:
    found = why(target)
    told = {file for reason in found["reasons"] for file in reason["stale"]} | set(found["unknown"])
    assert {f"results/full/{file}" for file in files} <= told and found["runs"] == 12
    assert ("results/full/paper.pdf" in told) == ("paper.pdf" in files)
    assert ("results/full/archive.zip" in told) == ("archive.zip" in files)


@pytest.mark.parametrize(
    ("target", "metrics", "profile"),
    [
        *((figure, True, False) for figure in ("scores", "kernels", "confusion", "uplift", "ranks", "figure_reported")),
        ("figure_curves", True, False),
        ("figure_mac_sizes", False, True),
        ("table_small", True, False),
        ("tables", True, False),
    ],
)
def test_figures_and_tables_rest_on_metrics_and_profile(study, why, target: str, metrics: bool, profile: bool) -> None:
    def rests(target: str) -> tuple[bool, bool]:
        found = why(target)
        told = {file for reason in found["reasons"] for file in reason["stale"]} | set(found["unknown"])
        files = ("metrics/small/phantom_tissue-28.csv", "profile/models.csv")
        return tuple(f"results/full/{file}" in told for file in files)

    assert rests(target) == (metrics, profile)
    if "table" in target:  # which shows the parameters that an extension adds
        edit("local_attn: [3, 5]", "local_attn: [3, 5], local_attn+slopes: [3]")
        assert rests(target) == (True, True)


def test_the_pdf_rests_on_everything_and_a_profile_on_no_run(study, why, capsys) -> None:
    found = why("pdf")
    files = {file for reason in found["reasons"] for file in reason["stale"]} | set(found["unknown"])
    paper = {f"results/full/paper/{name}" for name in ("figures/ranks.pdf", "values.json", "claims.json")}
    assert paper | {"results/full/paper.pdf"} <= files
    assert found["runs"] == 12 and why("figure_mac_sizes")["runs"] == 0 and why("curves")["runs"] == 12
    assert main(["why", "pdf"]) == 0
    assert "to train: nothing" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "runs"), [("datasets", 0), ("reported", 12), ("switches", 0)])
def test_tables_that_the_config_does_not_list_are_targets(study, why, name: str, runs: int) -> None:
    found = why(f"table_{name}")
    assert found["runs"] == runs and why(name)["runs"] == runs
    told = [file for reason in found["reasons"] for file in reason["stale"]] + found["unknown"]
    assert [file for file in told if "/paper/" in file] == [f"results/full/paper/tables/{name}.tex"]


def test_what_several_causes_make_stale_is_listed_once(study, capsys) -> None:
    edit("iterations: 40, lr: 1.0e-3", "iterations: 50, lr: 2.0e-3")
    assert main(["why", "phantom_tissue"]) == 0
    output = capsys.readouterr().out
    assert "training.iterations 40 -> 50" in output and "training.lr 0.001 -> 0.002" in output
    assert output.count("  phantom_tissue-28.") == 3 and output.count("  and 3 more") == 1


def test_an_unknown_target_names_the_nearest(study, capsys) -> None:
    assert main(["why", "smal"]) == 2
    assert "no table, figure, run or data set smal; the nearest are table_small" in capsys.readouterr().err


def test_the_page_is_a_target_and_part_of_all_but_not_of_the_paper(study, why) -> None:
    page = f"{study.folder}/report.html"

    def unmade(target: str) -> list[str]:
        return [file for reason in why(target)["reasons"] if "not made" in reason["text"] for file in reason["stale"]]

    assert {page, f"{study.folder}/paper/claims.json"} <= set(unmade("report_page"))
    assert page in unmade("all") and page not in unmade("pdf")
