"""The whole pipeline on a study of seconds: from phantoms to the PDF, and what makes which part of it stale."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from checkout import Checkout
from pdf import pdf_links, pdf_text


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Checkout:
    """A checkout with the whole study computed."""
    if not shutil.which("latexmk"):
        pytest.skip("LaTeX is missing: make tex")
    checkout = Checkout(tmp_path_factory.mktemp("finished"))
    done = checkout.snakemake("all")
    assert done.returncode == 0, done.stdout[-6000:]
    return checkout


def test_everything_is_published(finished):
    results = finished.folder / "results"
    assert len(finished.runs()) == 2
    for run in finished.runs():
        assert {path.name for path in run.iterdir()} == {
            "model.safetensors",
            "history.csv",
            "predictions.npz",
            "run.json",
        }
    assert (results / "tiny/paper/tables/classification_4t.csv").read_text().count("\n") >= 3
    assert (results / "tiny/paper.pdf").read_bytes().startswith(b"%PDF")


def test_every_page_says_that_it_shows_phantoms(finished):
    text = pdf_text(finished.folder / "results/tiny/paper.pdf")
    pages = text.split("\f")[:-1]
    assert len(pages) > 5
    assert [number for number, page in enumerate(pages, 1) if "phantom" not in page.lower()] == []


def test_figures_that_were_left_out_are_not_described(finished):
    text = " ".join(pdf_text(finished.folder / "results/tiny/paper.pdf").split())
    assert text.count("Left out.") >= 3
    assert "effect of the kernel size would appear there" not in text and "hold every published value" not in text
    assert "This study has no cell that was published (Figure" in text


def test_a_second_call_has_nothing_to_do(finished):
    done = finished.snakemake("all")
    assert done.returncode == 0 and "Nothing to be done" in done.stdout


def test_the_paper_shows_the_values_of_the_registry(finished):
    values = json.loads((finished.folder / "results/tiny/paper/values.json").read_text())
    value = values["auc/phantom_tissue-16/xs-tttt-pooling3/scratch"]
    table = (finished.folder / "results/tiny/paper/tables/classification_4t.csv").read_text()
    assert str(value["value"])[:6] in table
    assert len(value["runs"]) == 1 and (finished.folder / "results/runs" / value["runs"][0] / "run.json").exists()


def test_cells_runs_claims_and_values_of_the_pdf_link_to_the_page_beside_it(finished):
    page = (finished.folder / "results/tiny/report.html").read_text()
    shown = json.loads(page.partition('id="content">')[2].partition("</script>")[0])
    runs = [dict(zip(shown["runs"]["fields"], row, strict=True))["id"] for row in shown["runs"]["rows"]]
    places = [*(f"cell={cell['id']}" for cell in shown["cells"]), *(f"run={run}" for run in runs)]
    places += [f"claim={claim}" for claim in shown["claims"]]
    linked = {link for link in pdf_links(finished.folder / "results/tiny/paper.pdf") if "report.html" in link}
    values = {link for link in linked if link.startswith("report.html#value=")}
    assert linked - values == {f"report.html#{place}" for place in places}
    assert len(shown["cells"]) == len(runs) == 2 and len(linked - values) == 4 + len(shown["claims"]) > 4
    known = {f"report.html#value={row[0]}" for row in shown["values"]["rows"]}
    assert values <= known and {"study/runs", "training/lr", "reported/compared"} <= {
        at.partition("=")[2] for at in values
    }


def test_an_edit_of_the_page_rebuilds_it_alone_and_the_paper_needs_none(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    style = checkout.folder / "src/tokenmix/reporting/page/page.css"
    style.write_text(style.read_text() + "h1 { color: red; }\n")
    assert "Nothing to be done" in checkout.snakemake("-n", "paper").stdout
    done = checkout.snakemake("all")
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.findall(r"^Job \d+: (.+)$", done.stdout, re.MULTILINE) == ["Writing the page of results"]
    assert "h1 { color: red; }" in (tmp_path / "results/tiny/report.html").read_text()


def test_snakemake_makes_its_own_report(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    done = checkout.snakemake("--report", "snakemake.html")
    assert done.returncode == 0, done.stdout[-3000:]
    text = (tmp_path / "snakemake.html").read_text()
    for caption in (tmp_path / "workflow/report").glob("*.rst"):
        words = max(re.split(r"\*[^*]*\*|\n", caption.read_text()), key=len).strip()
        assert words in text, caption.name


def tokenmix(checkout: Checkout, *arguments: str) -> str:
    """What a command prints in a checkout."""
    command = [sys.executable, "-m", "tokenmix", *arguments, "--study", "tiny"]
    environment = {**os.environ, "PYTHONPATH": str(checkout.folder / "src")}
    return subprocess.run(
        command, cwd=checkout.folder, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_a_number_is_traced_and_its_command_computes_it_again(finished):
    chain = json.loads(tokenmix(finished, "trace", "classification_4t", "pooling3", "phantom_tissue", "auc", "--json"))
    assert chain["key"] == "auc/phantom_tissue-16/xs-tttt-pooling3/scratch" and not chain["problems"]
    dry = subprocess.run(
        [*finished.command()[:1], *chain["command"].split()[1:], "-n"],
        cwd=finished.folder, capture_output=True, text=True,
    )  # fmt: skip
    assert dry.returncode == 0, dry.stdout + dry.stderr
    jobs = {line.split()[0] for line in (dry.stdout + dry.stderr).splitlines() if line.split()[1:] == ["1"]}
    assert {"evaluate", "values"} <= jobs and not jobs & {"train", "publish"}


def test_an_audit_gives_equal_bytes_and_reaches_the_paper(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    assert "reproduced 1 of 1 cells" in tokenmix(checkout, "audit", "1")
    assert "values" in checkout.snakemake("-n", "paper").stdout
    assert checkout.planned("paper") == set()


def test_why_reads_what_snakemake_noted(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    assert "settings, code and data are those that it was made with" in tokenmix(checkout, "why", "pdf")
    checkout.edit("workflow/studies/tiny.yaml", "baselines: []", "baselines: []\nevaluation: {bootstrap: 200}")
    metrics = checkout.folder / "src/tokenmix/evaluation/metrics.py"
    metrics.write_text(metrics.read_text() + "\nANYTHING = 1\n")
    told = tokenmix(checkout, "why", "table_classification_4t")
    assert "evaluation.bootstrap 5000 -> 200 (rule evaluate) (workflow/studies/tiny.yaml:" in told
    assert "tokenmix.evaluation.metrics (changed) (rule evaluate)" in told and "to train: nothing" in told


def test_an_edited_title_reaches_the_pdf(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    checkout.edit("workflow/studies/tiny.yaml", "title: A study of seconds", "title: 'A study of {hours}'")
    assert "title A study of seconds -> A study of {hours} (rule values)" in tokenmix(checkout, "why", "pdf")
    done = checkout.snakemake("paper")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Study A study of {hours}, computed" in pdf_text(tmp_path / "results/tiny/paper.pdf")


def test_a_wrong_claim_is_red_in_the_pdf_and_then_fails_the_build(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    claims = tmp_path / "paper/claims.yaml"
    # a score is below 1, whatever a dozen steps have taught the model
    wrong = "wrong_on_purpose: {kind: bound, table: classification_4t, model: pooling3, metric: accuracy, above: 1.5}\n"
    claims.write_text(claims.read_text() + wrong)
    made = "\\claim{wrong_on_purpose}{No error is made}."
    checkout.edit("paper/sections/conclusion.tex", "\\label{sec:conclusion}", made)
    checkout.edit("workflow/studies/tiny.yaml", "may_fail: true", "may_fail: false")
    pdf = tmp_path / "results/tiny/paper.pdf"
    pdf.unlink()
    done = checkout.snakemake("paper")
    assert done.returncode != 0
    assert f"paper/claims.yaml:{claims.read_text().count(chr(10))}: wrong_on_purpose" in done.stdout
    assert "No error is made [refuted]" in " ".join(pdf_text(pdf).split())
    checkout.edit("workflow/studies/tiny.yaml", "may_fail: false", "may_fail: true")
    done = checkout.snakemake("paper")
    assert done.returncode == 0 and "Testing the claims" not in done.stdout, done.stdout[-3000:]


def test_a_comment_retrains_nothing(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    engine = checkout.folder / "src/tokenmix/training/engine.py"
    engine.write_text("# a remark\n" + engine.read_text())
    assert checkout.planned("all") == set()


def test_a_mixer_retrains_its_own_runs_only(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    mixer = checkout.folder / "src/tokenmix/models/mixers/identity.py"
    mixer.write_text(mixer.read_text() + "\nANYTHING = 1\n")
    assert {run.split(".")[1] for run in checkout.planned("all")} == {"xs-tttt-identity"}


def test_a_learning_rate_retrains_the_runs_that_use_it(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    checkout.edit(
        "workflow/studies/tiny.yaml", "phantom_tissue: {size: 16}",
        "phantom_tissue: {size: 16}\n  phantom_organs: {size: 16, training: {lr: 0.002}}",
    )  # fmt: skip
    checkout.edit(
        "workflow/studies/tiny.yaml", "datasets: [phantom_tissue]", "datasets: [phantom_tissue, phantom_organs]"
    )
    runs = checkout.planned("all")
    assert len(runs) == 2 and {run.split("-")[0] for run in runs} == {"phantom_organs"}
    checkout.edit("workflow/studies/tiny.yaml", "iterations: 12", "iterations: 12, lr: 0.002")
    assert len(checkout.planned("all")) == 4


def test_an_edit_of_the_tables_rebuilds_tables_and_the_pdf(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    tables = checkout.folder / "src/tokenmix/reporting/tables.py"
    tables.write_text(tables.read_text() + "\nANYTHING = 1\n")
    statistics = checkout.snakemake("-n", "all").stdout.split("Job stats:")[-1].split("Reasons:")[0]
    jobs = {line.split()[0] for line in statistics.splitlines()[3:] if line}
    assert jobs == {"all", "judge", "pdf", "table", "table_of_datasets", "table_of_switches", "total"}


def test_all_that_reads_of_every_run_looks_at_the_checksums(finished):
    rows = [line.split("\t") for line in finished.snakemake("-D", "all").stdout.splitlines() if line.count("\t") == 7]
    of = {column: place for place, column in enumerate(rows[0])}
    looks = {row[of["rule"]] for row in rows if "/phantom_tissue-16.sha256" in row[of["input-file(s)"]]}
    assert looks == {"table", "table_of_reported", "values", "runs_appendix", "report_page", "figure"}
    drawn = {row[0].split("/")[-1] for row in rows if row[2] == "figure" and ".sha256" in row[of["input-file(s)"]]}
    assert {"curves.pdf", "uplift.pdf"} <= drawn and "scores.pdf" not in drawn


def test_another_attestation_remakes_them(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    for checksums in (checkout.folder / "results/tiny/metrics").rglob("*.sha256"):
        checksums.write_text(checksums.read_text().replace("a", "b"))  # as if a run had been trained elsewhere
    done = checkout.snakemake("-n", "all").stdout
    statistics = done.split("Job stats:")[-1].split("Reasons:")[0]
    jobs = {line.split()[0] for line in statistics.splitlines()[3:] if line}
    assert jobs >= {"table", "table_of_reported", "values", "runs_appendix", "claims", "report_page", "figure", "pdf"}
    assert not jobs & {"evaluate", "train", "publish"}


def test_config_and_code_may_break_while_the_study_runs(finished, tmp_path):
    checkout = Checkout(tmp_path)
    process = subprocess.Popen(
        checkout.command("tables", "figure_scores", "report_page", "--cores", "1"), cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    for line in process.stdout:
        if ": Preparing" in line:  # the plan is frozen, nothing is trained
            break
    whole = {path: path.read_text() for path in (tmp_path / "src/tokenmix").rglob("*.py")}
    whole[tmp_path / "config.yaml"] = (tmp_path / "config.yaml").read_text()
    for path in whole:
        path.write_text("broken: [\n")
    rest = process.stdout.read()
    assert process.wait() == 0, rest[-4000:]
    assert len(checkout.runs()) == 2
    for run in checkout.runs():
        record, plan = (
            json.loads(path.read_text()) for path in (run / "run.json", tmp_path / f"results/plan/{run.name}.json")
        )
        assert record["status"] == "finished"
        assert record["spec"] == plan["spec"]
        assert record["hashes"]["code"] == plan["code"]["hash"] and record["hashes"]["data"] == plan["data"]["hash"]
        attested = {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in record["outputs"]}
        assert record["outputs"] == attested and len(attested) == 3
    for file in ("metrics/classification_4t/phantom_tissue-16.cells.csv", "paper/tables/classification_4t.tex"):
        made, undisturbed = (folder / "results/tiny" / file for folder in (tmp_path, finished.folder))
        assert made.read_bytes() == undisturbed.read_bytes()
    for path, text in whole.items():
        path.write_text(text)
    assert "Nothing to be done" in checkout.snakemake("-n", "tables", "figure_scores", "report_page").stdout


def test_an_edit_after_the_start_reaches_no_result(finished, tmp_path):
    checkout = copied(finished, tmp_path)
    cells = tmp_path / "results/tiny/metrics/classification_4t/phantom_tissue-16.cells.csv"
    before = cells.read_bytes()
    # the last thing that the head does before its first job, long after it froze the plan
    checkout.edit(
        "Snakefile", "onstart:\n", "onstart:\n    Path('src/tokenmix/evaluation/command.py').write_text('1 / 0')\n"
    )
    done = checkout.snakemake("--forcerun", "evaluate", "--until", "evaluate")
    assert done.returncode == 0 and "Evaluating the runs" in done.stdout, done.stdout[-3000:]
    assert (tmp_path / "src/tokenmix/evaluation/command.py").read_text() == "1 / 0"
    assert cells.read_bytes() == before


#: prints what Snakemake has loaded after a dry run
LOADED = """
import sys
from snakemake.cli import main
try:
    main(["-n", "--quiet", *sys.argv[1:]])
except SystemExit as end:
    assert not end.code, end.code
print("loaded", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_parsing_the_snakefile_loads_nothing_heavy(tmp_path):
    """Each job parses it twice."""
    checkout, bare = Checkout(tmp_path / "ours"), tmp_path / "bare"
    bare.mkdir()
    (bare / "Snakefile").write_text("rule nothing:\n    shell: 'true'\n")
    loaded = {}
    for folder, arguments in ((checkout.folder, ["--config", "study=tiny"]), (bare, ["--cores", "1"])):
        command = [sys.executable, "-c", LOADED, *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("loaded ")]
        loaded[folder.name] = set(line.split()[1:])
    assert loaded["ours"] - loaded["bare"] <= {
        "head",
        "cluster",
        "tokenmix",
        "difflib",
        "gc",
        "packaging",
        "yaml",
        "pydantic",
    }


def copied(finished: Checkout, tmp_path) -> Checkout:
    """The finished checkout again, to be edited; times and Snakemake's own records included."""
    shutil.copytree(finished.folder, tmp_path, symlinks=True, dirs_exist_ok=True)
    checkout = object.__new__(Checkout)
    checkout.folder = tmp_path
    return checkout
