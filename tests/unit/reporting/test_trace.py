"""`tokenmix trace` as a user sees it: a chain that holds, and one that says where it is broken."""

import csv
import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import traced_study
from fake_studies import open_study

from tokenmix.cli import main
from tokenmix.errors import UserError
from tokenmix.files import read_json, sha256_file
from tokenmix.reporting import values
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.provenance.lookup import wanted_key
from tokenmix.reporting.provenance.trace import trace
from tokenmix.reporting.registry import Registry
from tokenmix.study.load import load_config
from tokenmix.study.plan import freeze

KEY = "auc/phantom_tissue-28/xs-tttt-local_attn5/scratch"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, made once."""
    folder = tmp_path_factory.mktemp("traced")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        traced_study.make(folder)
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """A copy of it that a test may damage, as the current folder."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    (index,) = Path("results/plan").glob("full.*.json")
    yield Study.open(index)


@pytest.fixture
def traced(study: Study, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[dict, str]]:
    """What `tokenmix trace --json` says, and its message where the chain is broken."""

    def traced(*words: str, broken: bool = False) -> tuple[dict, str]:
        assert main(["trace", *words, "--json"]) == (2 if broken else 0)
        output = capsys.readouterr()
        return (json.loads(output.out) if output.out else {}), output.err

    return traced


def test_each_link_of_the_chain_is_the_file_that_it_names(study, traced) -> None:
    found, _ = traced(KEY)
    with Path(found["files"][0]).open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "auc" and "local_attn5" in row["model"]]
    assert [float(row["mean"]) for row in rows] == [found["value"]["value"]]
    assert [run["seed"] for run in found["runs"]] == [0, 1] and not found["problems"]
    for run in found["runs"]:
        assert sha256_file(run["predictions"]) == run["predictions_sha256"]
        plan, attested = read_json(run["plan"]), read_json(run["attestation"])
        assert plan["hashes"] == {part: run[part] for part in ("spec", "data", "code")} == attested["hashes"]
        assert read_json(Path(run["code_folder"]) / "modules.json")["hash"] == run["code"]
        assert Path(run["log"]).read_text() == "trained\n" and run["commit"] == attested["git"]["commit"]
        assert run["host"] == attested["execution"]["host"] and Path(run["benchmark"]).is_file()
        assert run["command"] == f"snakemake results/runs/{run['run']}/run.json --config study=full"
    assert found["command"] == (
        f"snakemake results/full/paper/values.json --forcerun {found['files'][0]} --config study=full"
    )


@pytest.mark.parametrize(
    "words",
    [
        "small xs-tttt-local_attn5 phantom_tissue-28 auc scratch",
        "small local_attn5 phantom_tissue auc",
        "table_small local_attn5 phantom_tissue auc",
    ],
)
def test_a_cell_of_a_table_is_found_by_short_names(traced, words: str) -> None:
    assert traced(*words.split())[0]["key"] == KEY


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("table_datasets phantom_tissue test", "data/phantom_tissue-28/test"),
        ("profile local_attn5 phantom_tissue macs", "macs/xs-tttt-local_attn5/phantom_tissue-28"),
        ("table_reported inside", "reported/inside"),
    ],
)
def test_what_no_table_of_the_config_shows_is_found(traced, words: str, key: str) -> None:
    assert traced(*words.split())[0]["key"] == key


def test_the_table_of_reported_values_leads_to_the_cells_beside_them(tmp_path: Path) -> None:
    study = open_study(tmp_path, datasets=("imagewoof",), size=224, models=("s12-tttt-pooling3", "s12-tttt-pooling5"))
    registry = values.build(study)
    found = wanted_key(study, registry, ["table_reported", "pooling5", "imagewoof", "auc"])
    assert found == "auc/imagewoof-224/s12-tttt-pooling5/scratch" and found in registry
    with pytest.raises(UserError, match="fits 2 cells; choose one of\n  tokenmix trace reported s12-tttt-pooling3 im"):
        wanted_key(study, registry, ["table_reported", "pooling", "imagewoof", "auc"])
    with pytest.raises(UserError, match="fits 6 values; choose one of\n  tokenmix trace reported/compared"):
        wanted_key(study, registry, ["table_reported"])


def test_an_ambiguous_cell_lists_the_candidates(traced, study) -> None:
    _, message = traced("small", "local_attn", "phantom_tissue", "auc", broken=True)
    candidates = [line.split()[2:] for line in message.splitlines()[1:]]
    assert [words[1] for words in candidates] == ["xs-tttt-local_attn3", "xs-tttt-local_attn5"]
    # each candidate can be pasted
    assert traced(*candidates[1])[0]["key"] == KEY
    assert "fits 8 cells" in traced("small", "local_attn5", broken=True)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("auc/phantom_tisue-28/xs-tttt-local_attn5/scratch", f"the nearest are {KEY}"),
        ("auc/phantom_t", "the nearest are auc/phantom_tissue-28/xs-tttt-pooling3/scratch, auc/phantom_tissue-28/xs-t"),
        ("table_switches", "table_switches fits 0 values; this study has none"),
        ("profile local_attn5 phantom_tissue", "\n  tokenmix trace params/xs-tttt-local_attn5/phantom_tissue-28\n"),
        ("small local_atn5 phantom_tissue auc", "no model here is called local_atn5; the nearest are xs-tttt-local"),
        ("small local_attn5 phantom auc", "no data set here is called phantom; the nearest are phantom_"),
        ("small local_attn5 phantom_tissue au", "no metric here is called au; the nearest are auc"),
        ("smal local_attn5 phantom_tissue auc", "no table here is called smal; the nearest are small"),
        ("a b c d e f", "6 words were given; give KEY, or TABLE MODEL DATASET METRIC"),
        ("small local_attn5 --study mini", "no plan of the study 'mini'"),
    ],
)
def test_an_unknown_name_is_one_message(study, words: str, message: str, capsys) -> None:
    assert main(["trace", *words.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error


def run_of(study: Study) -> str:
    return next(run for run, entry in study.index["runs"].items() if entry["model"] == "xs-tttt-local_attn5")


def test_ctrl_c_is_no_traceback(study, capsys, monkeypatch) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tokenmix.reporting.provenance.trace_command.trace", pressed)
    assert main(["trace", KEY]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_deleted_run_is_named_with_the_way_back(study, traced) -> None:
    run = run_of(study)
    shutil.rmtree(f"results/runs/{run}")
    found, message = traced(KEY, broken=True)
    assert f"the run {run} was deleted" in message and "this trains nothing" in message
    assert f"snakemake results/runs/{run}/run.json --config study=full" in message
    assert [entry["status"] for entry in found["runs"]] == ["deleted", "finished"] and len(found["problems"]) == 1
    shutil.rmtree(f"results/store/{run}")
    assert "this trains nothing" not in traced(KEY, broken=True)[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [('"seed": 0', '"seed": 7'), ('"lr": 0.001', '"lr": 0.002'), ('"status": "finished"', '"status": "diverged"')],
)
def test_a_tampered_attestation_is_named_with_the_right_one(study, traced, old: str, new: str) -> None:
    run = run_of(study)
    path = Path(f"results/runs/{run}/run.json")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    _, message = traced(KEY, broken=True)
    assert f"{path} was changed" in message and f"the right one is results/store/{run}/run.json" in message
    # its spec does not make its name, even where nothing is left to compare it with
    shutil.rmtree(f"results/store/{run}")
    _, message = traced(KEY, broken="status" not in old)
    assert ("was changed" in message and "train it again" in message) == ("status" not in old)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"status": "finished"', '"status": "diverged"'),
        ('"mark": ""', '"mark": "a"'),
        ('"dirty": false', '"dirty": true'),
        ('"device": "CPU', '"device": "TPU'),
    ],
)
def test_no_values_come_from_a_tampered_attestation(study, capsys, old: str, new: str) -> None:
    run, registry = run_of(study), study.paper / "values.json"
    path = Path(f"results/runs/{run}/run.json")
    call, sound = ["report", "values", "--plan", str(study.path)], path.read_text()
    registry.unlink()
    assert old in sound
    path.write_text(sound.replace(old, new))
    assert main(call) == 2 and not registry.exists()
    error = capsys.readouterr().err
    assert error.startswith("error: ") and f"{path} was changed after the run finished" in error
    assert f"the right one is results/store/{run}/run.json; publish it again: rm -r results/runs/{run} &&" in error
    path.write_text(sound)
    assert main(call) == 0 and registry.exists()
    # runs that were copied without their store have nothing to be held against
    shutil.rmtree(f"results/store/{run}")
    assert main(call) == 0


def test_a_tampered_file_of_predictions_is_named_with_the_right_one(study, traced) -> None:
    run = run_of(study)
    path = Path(f"results/runs/{run}/predictions.npz")
    path.write_bytes(path.read_bytes() + b"x")
    _, message = traced(KEY, broken=True)
    assert f"{path} is not the file that its run.json attests" in message
    assert f"the right one is results/store/{run}/predictions.npz; publish it again: rm -r results/runs/{run} &&" in (
        message
    )
    shutil.copy(path, f"results/store/{run}/predictions.npz")
    _, message = traced(KEY, broken=True)
    assert f"no copy is left; train it again: rm -r results/store/{run} results/runs/{run} && snakemake" in message


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"outputs": null, "hashes": 3}', '{"hashes": null, "execution": [], "git": "c"}']
)
def test_what_is_no_attestation_is_named_with_the_right_one(study, traced, content: str) -> None:
    run = run_of(study)
    Path(f"results/runs/{run}/run.json").write_text(content)
    found, message = traced(KEY, broken=True)
    assert f"results/runs/{run}/run.json is no attestation of a run" in message and len(found["runs"]) == 2
    assert f"the right one is results/store/{run}/run.json; publish it again: rm -r results/runs/{run} &&" in message


def test_what_is_no_plan_of_a_run_is_named(study, traced) -> None:
    run = run_of(study)
    Path(f"results/plan/{run}.json").write_text('{"data": null, "code": []}')
    assert (
        f"results/plan/{run}.json is no plan of a run; delete it and plan the study again"
        in (traced(KEY, broken=True)[1])
    )


def test_a_measurement_that_a_crash_cut_short_is_left_out(study, traced) -> None:
    path = Path(f"results/benchmarks/train/{run_of(study)}.jsonl")
    path.write_text(path.read_text() + '{"run": "x", "s": 1')
    assert main(["trace", KEY]) == 0
    assert study.measured("energy_joules") is None


def test_commands_may_be_pasted_where_a_folder_has_spaces(study) -> None:
    run = run_of(study)
    shutil.copytree("results", "my results")
    spaced = Study(study.path, {**study.index, "results": "my results"})
    path = Path(f"my results/runs/{run}/predictions.npz")
    path.write_bytes(path.read_bytes() + b"x")
    registry = Registry.read(spaced.paper / "values.json")
    found = trace(spaced, registry, KEY)
    (problem,) = found.problems
    _, _, pasted = problem.partition("publish it again: ")
    assert shlex.split(pasted)[:3] == ["rm", "-r", f"my results/runs/{run}"]
    assert shlex.split(pasted)[5] == f"my results/runs/{run}/run.json"
    assert shlex.split(found.command)[1] == "my results/full/paper/values.json"


def test_a_value_outlives_its_plan_until_it_is_computed_anew(study, traced, capsys) -> None:
    config = Path("config.yaml")
    config.write_text(config.read_text().replace("lr: 1.0e-3", "lr: 2.0e-3").replace(
        "tables:", "tables:\n  more: {scale: xs, metrics: [auc], mixers: {conv: [3]}}"
    ))  # fmt: skip
    freeze(load_config(Path.cwd()), Path.cwd())
    found, _ = traced(KEY)
    assert [run["seed"] for run in found["runs"]] == [0, 1] and len(found["outdated"]) == 2 and not found["problems"]
    assert [run["command"] for run in found["runs"]] == ["", ""]
    assert main(["trace", KEY]) == 0
    assert "the newest plan has other runs in place of 2 of 2 runs; `tokenmix why pdf` says" in capsys.readouterr().out


def test_a_value_that_is_not_its_metric_files_is_told(study, traced) -> None:
    path = Path("results/full/metrics/small/phantom_tissue-28.cells.csv")
    value = traced(KEY)[0]["value"]["value"]
    path.write_text(path.read_text().replace(str(value), "0.99"))
    assert f"values.json holds {value}" in traced(KEY, broken=True)[1]
    path.unlink()
    assert f"{path} is missing; make it again: snakemake" in traced(KEY, broken=True)[1]


@pytest.mark.parametrize(
    ("name", "field", "content"),
    [
        ("best_value/auc/phantom_tissue-28", "value", 12345),
        ("best_value/auc/phantom_tissue-28/small", "text", "12345"),
        ("params/xs-tttt-pooling3/phantom_tissue-28", "value", 12345),
        ("macs/xs-tttt-pooling3/phantom_organs-28", "text", "12345"),
        ("data/phantom_tissue-28/test", "value", 12345),
        ("reported/compared", "value", 12345),
        ("training/lr", "value", 12345),
        ("study/seeds", "text", "12345"),
        (KEY, "text", "12345"),
        (KEY, "n", 12345),
        (KEY, "runs", []),
        (f"{KEY}/low", "value", 0.12345),
    ],
)
def test_a_value_of_any_kind_is_held_against_its_files(study, traced, name: str, field: str, content: object) -> None:
    assert traced(name)[0]["problems"] == []
    path = study.paper / "values.json"
    registry = json.loads(path.read_text())
    registry[name][field] = content
    path.write_text(json.dumps(registry))
    found, message = traced(name, broken=True)
    assert len(found["problems"]) == 1 and "values.json holds " in message and not found["unchecked"]
    assert "12345" in message or content == []
    assert "; compute it again: snakemake results/full/paper/values.json" in message


def test_a_link_that_cannot_be_checked_is_told(study, traced, capsys) -> None:
    tissue, organs = (
        Path(study.datasets[f"phantom_{name}-28"]["folder"]) / "card.json" for name in ("tissue", "organs")
    )
    tissue.unlink()
    name = "data/phantom_organs-28/test"
    found, _ = traced(name)
    assert found["problems"] == [] and f"values.json against {organs}: {tissue} is missing" in found["unchecked"]
    tissue.write_text("[]")
    assert main(["trace", name]) == 0
    assert f"unchecked       values.json against {organs}: a file is broken" in capsys.readouterr().out
    # other values do without that card
    assert traced(KEY)[0]["unchecked"] == ""


def test_the_command_computes_every_file_of_a_value_again(study, traced) -> None:
    found, _ = traced("best/accuracy/phantom_tissue-28")
    assert len(found["files"]) > 1
    words = shlex.split(found["command"])
    assert words[words.index("--forcerun") + 1 : words.index("--config")] == found["files"]


def test_a_value_of_the_study_traces_to_all_runs_and_one_of_the_profile_to_none(study, traced) -> None:
    assert len(traced("study/train_hours")[0]["runs"]) == 12
    found, _ = traced("params/xs-tttt-pooling3/phantom_tissue-28")
    assert found["runs"] == [] and found["files"] == ["results/full/profile/models.csv"]


def test_a_person_gets_the_same_chain(study, capsys, monkeypatch) -> None:
    assert main(["trace", KEY]) == 0
    plain = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["trace", KEY]) == 0
    shown = capsys.readouterr().out
    for text in (
        KEY,
        run_of(study),
        "predictions.npz (sha256 ",
        "12.5 s, 300.0 MB",
        "snakemake results/full/paper",
        f"snakemake results/runs/{run_of(study)}/run.json --config study=full",
    ):
        assert text in plain and text in shown
