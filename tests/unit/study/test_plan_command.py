"""`tokenmix plan` as a user sees it."""

import json
from pathlib import Path

import pytest

from tokenmix import cli
from tokenmix.files import read_json, write_atomic
from tokenmix.study import analytic, code
from tokenmix.study.load import load_config
from tokenmix.study.model_macs import has_formula, model_macs
from tokenmix.study.plan import freeze

CONFIG = """
study: full
seeds: [0, 1]
training: {lr: 1.0e-3}
datasets: {phantom_tissue: {size: 28}}
tables:
  hybrids: {arrangement: pptt, mixers: {local_attn: [3, 5], identity: }}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of six runs, frozen; one of them is finished."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    code.forget()
    plan = freeze(load_config(tmp_path), tmp_path)
    file = read_json(tmp_path / f"results/plan/{next(iter(plan.runs))}.json")
    hashes = {"data": file["data"]["hash"], "code": file["code"]["hash"]}
    attestation = {"spec": file["spec"], "hashes": hashes, "execution": {"ended": "now"}}
    write_atomic(tmp_path / f"results/runs/{file['run']}/run.json", json.dumps(attestation))
    return tmp_path


def test_runs_are_listed_by_table_with_their_state(project, capsys):
    assert cli.main(["plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "study full, 6 runs: 1 exist, 0 stale, 5 missing"
    assert lines[2] == "hybrids, 6 runs: 1 exist, 0 stale, 5 missing"
    assert lines[3].startswith("  exists   phantom_tissue-28.s12-pptt-local_attn3.scratch.s0.")
    assert lines[4].startswith("  missing  phantom_tissue-28.s12-pptt-local_attn3.scratch.s1.")


def test_a_stale_run_says_which_field_made_it_so(project, capsys):
    (project / "config.yaml").write_text(CONFIG.replace("1.0e-3", "2.0e-3"))
    cli.main(["plan"])
    output = capsys.readouterr().out
    assert "0 exist, 1 stale, 5 missing" in output
    (line,) = [line for line in output.splitlines() if line.startswith("  stale")]
    assert line.endswith("  training.lr 0.001 -> 0.002")


def test_a_training_that_never_leaves_its_warm_up_is_noted(project, capsys):
    # 1024 images in batches of 128: 8 steps an epoch
    for iterations, noted in ((40, True), (41, False)):
        training = f"lr: 1.0e-3, iterations: {iterations}, warmup_epochs: 5"
        (project / "config.yaml").write_text(CONFIG.replace("lr: 1.0e-3", training))
        assert cli.main(["plan"]) == 0
        assert ("note: warm-up takes the whole training of phantom" in capsys.readouterr().out) == noted


def test_a_stale_run_says_which_modules_made_it_so(project, capsys):
    for listing in (project / "results/code").glob("*/modules.json"):
        old = read_json(listing)
        old["modules"]["tokenmix.training.loss"] = "another hash"
        old["modules"].pop("tokenmix.training.engine", None)  # what trains packs has no engine
        listing.write_text(json.dumps(old))
    run = next((project / "results/runs").iterdir())
    file = run / "run.json"
    attested = read_json(file)
    # an earlier run of the cell, of code that is not the plan's
    folder = project / "results/code" / attested["hashes"]["code"][:8]
    folder.rename(folder.with_name("0" * 8))
    attested["hashes"]["code"] = "0" * 64
    file.write_text(json.dumps(attested))
    cli.main(["plan"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  stale")]
    assert line.endswith("code: tokenmix.training.engine (new), tokenmix.training.loss (changed)")


def test_models_of_the_same_function_are_labelled(project, capsys):
    cli.main(["plan"])
    same, covered = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note:")]
    assert same.endswith("the same function: s12-pptt-local_attn3, s12-pptt-local_attn5")
    assert covered.endswith("phantom_tissue-28 windows cover whole maps: kernel 3, 5 in stage 3 and 4")


def test_json_for_programs(project, capsys):
    (project / "config.yaml").write_text(CONFIG.replace("1.0e-3", "2.0e-3"))
    cli.main(["plan", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert len(found["tables"]["hybrids"]) == 6
    states = [run for run in found["runs"].values() if run["state"] == "stale"]
    assert [state["differences"] for state in states] == [
        [{"kind": "spec", "name": "training.lr", "before": 0.001, "after": 0.002}]
    ]


def test_a_terminal_gets_tables(project, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    cli.main(["plan"])
    output = capsys.readouterr().out
    assert "phantom_tissue-28.s12-pptt-local_attn3.scratch.s0." in output and "5 missing" in output


def test_planning_writes_nothing(project):
    before = sorted(path for path in project.rglob("*"))
    cli.main(["plan"])
    assert sorted(path for path in project.rglob("*")) == before


def test_each_table_lists_its_own_runs(project, capsys):
    (project / "config.yaml").write_text(CONFIG + "  small: {scale: xs, mixers: {identity: }}\n")
    cli.main(["plan"])
    output = capsys.readouterr().out
    assert output.startswith("study full, 8 runs: 1 exist, 0 stale, 7 missing")
    small = output[output.index("small, 2 runs: 0 exist, 0 stale, 2 missing") :].splitlines()[1:3]
    assert all("phantom_tissue-28.xs-tttt-identity.scratch.s" in line for line in small)


def attest_throughput(
    project: Path,
    model: str,
    rate: float,
    device: str = "NVIDIA H100",
    name: str = "a",
    dataset: str = "breastmnist",
) -> None:
    """A finished run of another study tells how fast it was."""
    spec = {"dataset": dataset, "model": model, "size": 28, "training": {"threads": 2}}
    content = {"spec": spec, "hashes": {}, "execution": {"images_per_second": rate, "device": device}}
    write_atomic(project / f"results/runs/{name}/run.json", json.dumps(content))


def left_to_train(capsys, *arguments: str) -> dict[str, str]:
    assert cli.main(["plan", *arguments]) == 0
    output = capsys.readouterr().out
    lines = output[output.index("left to train:") :].splitlines()[1:]
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}


IMAGES = 35000 * 128


def macs(model: str) -> int:
    """Of a grey image of 28 pixels."""
    return model_macs(model, 28, 2, 1)


#: the project's runs without the finished one
LEFT = {"s12-pptt-local_attn3": 1, "s12-pptt-local_attn5": 2, "s12-pptt-identity": 2}


def test_costs_come_from_multiply_adds_where_nothing_was_measured(project, capsys):
    # three passes, at 1e13 a second
    hours = sum(IMAGES * runs * 3 * macs(model) / 1e13 / 3600 for model, runs in LEFT.items())
    expected = f"5 runs, {hours:.2f} GPU-hours, {hours:.2f} hours on one GPU (from multiply-adds)"
    assert left_to_train(capsys) == {"hybrids": expected, "all": expected}


def test_costs_come_from_measured_throughput_of_the_same_model_first(project, capsys):
    attest_throughput(project, "s12-pptt-identity", 4000.0)
    attest_throughput(project, "s12-tttt-conv3", 1000.0, name="relative")
    attest_throughput(project, "s12-pptt-local_attn3", 5.0, device="CPU x86_64", name="cpu")
    # 3 runs of local attention by the median of its relatives' multiply-adds a second, two of identity by itself
    speed = (4000 * macs("s12-pptt-identity") + 1000 * macs("s12-tttt-conv3")) / 2
    attention = [IMAGES * macs(f"s12-pptt-local_attn{kernel}") / speed for kernel in (3, 5)]
    hours = (attention[0] + 2 * attention[1] + 2 * IMAGES / 4000) / 3600
    assert left_to_train(capsys, "--jobs", "2")["all"] == (
        f"5 runs, {hours:,.1f} GPU-hours, {hours / 2:,.1f} hours on 2 GPUs "
        "(from measured throughput, 3 of 5 from measured throughput of other models)"
    )
    longest = max(*attention, IMAGES / 4000) / 3600
    assert f" {longest:.2f} hours on 99 GPUs" in left_to_train(capsys, "--jobs", "99")["all"]


def test_measured_and_counted_are_told_apart_and_shared_runs_count_once(project, capsys):
    more = "  small: {scale: xs, mixers: {identity: }}\n  again: {arrangement: pptt, mixers: {identity: }}\n"
    (project / "config.yaml").write_text(CONFIG + more)
    attest_throughput(project, "xs-tttt-identity", 100.0)
    # volumes of the same edge say nothing about images
    attest_throughput(project, "s12-pptt-local_attn3", 7.0, name="volumes", dataset="adrenalmnist3d")
    (project / "results/runs/broken").mkdir()
    (project / "results/runs/broken/run.json").write_text("{")
    attest_throughput(project, "xs-tttt-gone", 100.0, name="of a mixer that is no more")
    found = left_to_train(capsys)
    assert found["small"].startswith("2 runs") and found["small"].endswith("(from measured throughput)")
    assert found["again"].startswith("2 runs") and found["again"].endswith("(from multiply-adds)")
    assert found["all"].startswith("7 runs")
    assert found["all"].endswith("(from measured throughput, 5 of 7 from multiply-adds)")


def test_a_mixer_without_a_formula_is_left_out_of_the_multiply_adds_and_the_estimate_says_so(
    project, capsys, monkeypatch
):
    known = analytic.mixer_macs
    monkeypatch.setattr(
        "tokenmix.study.model_macs.mixer_macs",
        lambda mixer, *rest: known(mixer, *rest) if mixer != "identity" else None,
    )
    model_macs.cache_clear()
    has_formula.cache_clear()
    try:
        found = left_to_train(capsys)["all"]
        attest_throughput(project, "s12-tttt-conv3", 1000.0)
        from_relatives = left_to_train(capsys)["all"]
    finally:
        model_macs.cache_clear()
        has_formula.cache_clear()
    assert found.endswith("(from multiply-adds, 2 of 5 from multiply-adds without a new mixer's own)")
    others = "from measured throughput of other models"
    assert from_relatives.endswith(f"({others}, 2 of 5 {others} without a new mixer's own)")


def test_a_study_for_the_cpu_counts_cores(project, capsys, monkeypatch):
    (project / "config.yaml").write_text(CONFIG + "execution: {needs_gpu: false}\n")
    monkeypatch.setattr("tokenmix.study.plan_command.has_gpu", lambda: False)
    attest_throughput(project, "s12-pptt-identity", 300.0, device="CPU x86_64")  # on two threads
    speed = 150 * macs("s12-pptt-identity")
    hours = sum(IMAGES * runs * macs(model) / speed / 3600 for model, runs in LEFT.items())
    assert left_to_train(capsys, "--jobs", "2")["all"].startswith(
        f"5 runs, {hours:,.1f} core-hours, {hours / 2:,.1f} hours on 2 cores (from measured throughput"
    )
    cli.main(["plan", "--json"])
    costs = json.loads(capsys.readouterr().out)["costs"]
    assert [(cost["table"], cost["runs"], cost["device"]) for cost in costs] == [("hybrids", 5, "CPU"), ("", 5, "CPU")]


def test_no_job_is_a_mistake(project, capsys):
    assert cli.main(["plan", "--jobs", "0"]) == 2
    assert "--jobs 0" in capsys.readouterr().err
