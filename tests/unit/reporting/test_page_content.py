"""What the page of results holds, before any browser reads it."""

import html
import json
import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import traced_study
from fake_studies import open_study

from tokenmix.cli import main
from tokenmix.reporting import appendix, values
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.page import content, document
from tokenmix.reporting.provenance.trace import place, trace
from tokenmix.reporting.registry import Registry


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with one diverged run."""
    made = open_study(tmp_path_factory.mktemp("study"))
    values.write(made, made.paper)
    (made.paper / "claims.json").write_text("{}")
    return made


def embedded(text: str, name: str) -> dict:
    """The JSON of a page's script element."""
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', text)[1])


def page(study: Study) -> str:
    return document.document(study, Registry.read(study.paper / "values.json"))


def runs_of(shown: dict) -> dict[str, dict]:
    """Run -> its fields."""
    rows = [dict(zip(shown["runs"]["fields"], row, strict=True)) for row in shown["runs"]["rows"]]
    return {row["run"]: row for row in rows}


def test_every_cell_and_run_is_there_with_its_scores(study: Study) -> None:
    shown = embedded(page(study), "content")
    cells = {cell["id"]: cell for cell in shown["cells"]}
    assert len(cells) == len(study.cells) / 4 and runs_of(shown).keys() == study.index["runs"].keys()
    for (dataset, model, init, metric), cell in study.cells.items():
        found = cells[f"{dataset}/{model}/{init}"]
        assert found["scores"][metric] == pytest.approx([cell.mean, cell.std, cell.low, cell.high], abs=1e-5)
        own = [runs_of(shown)[run]["scores"][metric] for run in found["runs"]]
        assert sum(own) / len(own) == pytest.approx(cell.mean, abs=1e-4)
    assert [cell["status"] for cell in shown["cells"]].count("diverged") == 1


def test_every_value_is_there_with_all_that_the_registry_says(study: Study) -> None:
    registry = Registry.read(study.paper / "values.json")
    shown = embedded(page(study), "content")["values"]
    found = {}
    for row in shown["rows"]:
        fields = dict(zip(shown["fields"], row, strict=True))
        found[fields["id"]] = {
            name: shown["pools"][name][at] if name in shown["pools"] else at for name, at in fields.items()
        }
    assert list(found) == list(registry.values)
    for name, value in registry.values.items():
        for field in ("value", "text", "n", "unit", "how", "rule", "config", "line"):
            assert found[name][field] == getattr(value, field), (name, field)
        assert found[name]["runs"] == list(value.runs)
        assert all((study.folder / file).is_file() for file in value.files if file.startswith("metrics/"))
        assert found[name]["files"] == [str(place(study, file)) for file in value.files]
    # runs of a value are long lists, and hundreds of values share one
    assert len(json.dumps(shown["pools"]["runs"])) < 20 * len(json.dumps(list(study.index["runs"])))


def test_every_line_of_the_appendix_leads_to_the_page(study: Study) -> None:
    registry = Registry.read(study.paper / "values.json")
    lines = {}
    for row in appendix.runs_tex(study, registry).splitlines():
        lines |= dict.fromkeys(re.findall(r"\\tmxanchor\{([^}]+)\}", row), row)
    told = {value.line for value in registry.values.values()}
    assert told <= lines.keys() and {line.partition(":")[0] for line in told} > {"cell", "data", "finding", "profile"}
    for line in told:
        (kind, name), *_ = re.findall(r"\\tmxpage\{(\w+)=([^}]+)\}", lines[line])
        assert (kind, name) == ("cell", line.removeprefix("cell:")) or registry[name].line == line


def test_a_run_has_the_provenance_that_trace_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = traced_study.make(tmp_path)
    (study.paper / "claims.json").write_text("{}")
    assert main(["report", "page", "--plan", str(study.path)]) == 0
    shown = embedded((study.folder / "report.html").read_text(), "content")
    registry = Registry.read(study.paper / "values.json")
    name = next(name for name in registry.values if name.startswith("auc/phantom_tissue-28/"))
    chain = trace(study, registry, name)
    (cell,) = [cell for cell in shown["cells"] if f"auc/{cell['id']}" == name]
    assert cell["command"] == chain.command and tuple(cell["files"]) == chain.files
    for run in chain.runs:
        told = runs_of(shown)[run.run]
        for field in ("seed", "spec", "plan", "data", "data_folder", "code", "code_folder", "host", "log", "seconds"):
            assert told[field] == getattr(run, field), field
        assert told["commit"] == run.commit[:8] and told["command"].startswith("snakemake results/runs/")
        assert told["cell"] == cell["id"] and told["memory"] == 300.0


def test_thinned_curves_keep_their_ends_and_the_selected_checkpoint(study: Study) -> None:
    run = next(iter(study.index["runs"]))
    short = embedded(page(study), "curves")[run]
    assert short["iteration"] == [60 * step for step in range(1, 11)] and short["selected"].index(1) == 7
    rows = [{"iteration": str(step), "val_loss": "nan", "selected": str(int(step == 501))} for step in range(1000)]
    long = content._curve(rows)
    assert len(long["iteration"]) <= content.POINTS and long["iteration"] == sorted(set(long["iteration"]))
    assert {0, 501, 999} <= set(long["iteration"])
    assert max(b - a for a, b in zip(long["iteration"], long["iteration"][1:], strict=False)) < 40
    assert set(long["val_loss"]) == {None}


def test_hostile_names_end_no_element(tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script><!-- \"&'"
    study = open_study(tmp_path, datasets=("a",), models=("xs-tttt-conv3",), seeds=(0,), titles={"a": name})
    study.index["title"] = name
    values.write(study, study.paper)
    (study.paper / "claims.json").write_text("{}")
    text = page(study)
    assert text.count("</script") == 4 and "<!--" not in text
    assert embedded(text, "content")["datasets"] == {"a-28": name}
    assert html.unescape(re.search(r"<h1>(.*)</h1>", text)[1]) == name


def test_the_page_is_the_same_wherever_and_whenever_it_is_built(study: Study) -> None:
    assert page(study) == page(Study.open(study.path))


def test_without_the_library_one_message_says_what_to_do(study, monkeypatch, capsys) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(document, "distribution", missing)
    assert main(["report", "page", "--plan", str(study.path)]) == 2
    assert "itables" in (told := capsys.readouterr().err) and "make env" in told
