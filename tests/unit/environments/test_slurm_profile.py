"""The profile for SLURM, without a SLURM: it is found, it parses; and how jobs are watched on which cluster."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin
from checkout import BIN, Checkout

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "workflow"))

from cluster import choose_status_command, tell_refused_jobs  # noqa: E402


def chosen(command: str | None, **configuration: str) -> str | None:
    workflow = SimpleNamespace(executor_settings=SimpleNamespace(status_command=command))
    choose_status_command(workflow, configuration)
    return workflow.executor_settings.status_command


@pytest.fixture(autouse=True)
def untouched_plugin(monkeypatch):
    monkeypatch.setattr(plugin, "get_min_job_age", plugin.get_min_job_age)


def test_where_accounting_is_on_the_choice_stands():
    for command in ("sacct", "squeue"):
        assert chosen(command, AccountingStorageType="accounting_storage/slurmdbd", MinJobAge="2 sec") == command


@pytest.mark.parametrize("storage", ["accounting_storage/none", "(null)"])
def test_where_accounting_is_off_jobs_are_watched_with_squeue(storage):
    assert chosen("sacct", AccountingStorageType=storage, MinJobAge="300 sec") == "squeue"
    assert plugin.get_min_job_age() == 300


def test_a_cluster_that_never_forgets_jobs_is_watched_with_squeue():
    assert chosen("sacct", AccountingStorageType="accounting_storage/none", MinJobAge="0 sec") == "squeue"
    # the plugin turns to sacct where jobs are forgotten before it asks three times
    assert plugin.get_min_job_age() > 24 * 3600


@pytest.mark.parametrize(
    ("age", "words"), [({"MinJobAge": "60 sec"}, "60 seconds"), ({}, "a time that it does not tell")]
)
def test_a_cluster_that_forgets_jobs_at_once_and_keeps_no_accounts_is_refused(age, words, capsys):
    with pytest.raises(SystemExit) as end:
        chosen("sacct", AccountingStorageType="accounting_storage/none", **age)
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and words in message and "MinJobAge=300" in message


def test_a_refusal_of_several_lines_is_told_once_in_one(tmp_path, capsys):
    page = "message: SLURM sbatch failed. The error message was 'sbatch: error: QOSMaxSubmit\nsbatch: error: failed'.\n"
    (tmp_path / "log").write_text(f"before\n{page}    sbatch call:\n{page}after\n")
    tell_refused_jobs([str(tmp_path / "log"), str(tmp_path / "missing")])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "sbatch: error: QOSMaxSubmit sbatch: error: failed;" in said


def test_the_profile_is_found_from_a_clone_and_asks_for_a_warning_before_the_time_limit(tmp_path):
    dry = Checkout(tmp_path).snakemake("--profile", "slurm", "-n", "all")
    assert dry.returncode == 0, dry.stdout
    assert "slurm_extra=--signal=USR1@120" in dry.stdout


def test_the_profile_plans_the_full_study_where_no_other_is_named(tmp_path):
    checkout = Checkout(tmp_path)
    command = [BIN / "snakemake", "--profile", "slurm", "-n", "all", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (plan,) = (tmp_path / "results/plan").glob("full.*.json")
    assert len(json.loads(plan.read_text())["runs"]) > 500 and not checkout.runs()


def test_a_controller_that_does_not_answer_is_one_message(tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sbatch", "squeue", "scontrol", "srun"):
        (tools / name).write_text("#!/bin/sh\necho Unable to contact slurm controller >&2\nexit 1\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    done = Checkout(tmp_path / "checkout").snakemake("--profile", "slurm", "all")
    assert done.returncode == 2 and "Traceback" not in done.stdout
    (message,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert "controller does not answer (Unable to contact slurm controller); nothing was submitted" in message


def test_the_template_of_partitions_holds_what_the_plugin_reads(tmp_path):
    template = (ROOT / "profiles/slurm/partitions.yaml").read_text()
    assert plugin.read_partition_file(ROOT / "profiles/slurm/partitions.yaml") == []
    filled = tmp_path / "partitions.yaml"
    filled.write_text(template.split("partitions: {}")[1].replace("\n# ", "\n"))
    partitions = {partition.name: partition.limits for partition in plugin.read_partition_file(filled)}
    assert partitions["gpu"].max_gpu == 4 and partitions["gpu"].max_runtime == 24 * 60
    assert partitions["cpu"].max_gpu == 0
