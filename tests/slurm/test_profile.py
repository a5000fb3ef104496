"""The profile and the cluster for trying it, against a real SLURM: two nodes, no accounting, sacct installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import BIN, ROOT

CLUSTER = Path(__file__).parent / "cluster"
#: its exit code where no SLURM can run on this machine
CANNOT = 3
#: three rules that need nothing of the study, under the head's check
WORKFLOW = f"""
import sys

if workflow.is_main_process:
    sys.path.insert(0, "{ROOT}/workflow")
    from cluster import check_cluster, tell_refused_jobs

rule all:
    input: "copy"
    localrule: True

rule make:
    output: "made"
    resources: mem_mb=200, runtime=5, gpu=1
    shell: "echo $SLURM_JOB_ID $CUDA_VISIBLE_DEVICES > {{output}}"

rule copy:
    input: "made"
    output: "copy"
    localrule: True
    shell: "cp {{input}} {{output}}"

onstart:
    check_cluster(workflow)
    if config.get("drain"):
        shell("scontrol update partitionname=gpu state=drain")

onerror:
    tell_refused_jobs(log)
"""


def script(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([CLUSTER, *arguments], capture_output=True, text=True)


def slurm(cluster: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=cluster, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def small_workflow(cluster, tmp_path):
    """A call of the small workflow with the profile."""
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    (tmp_path / "slurm").symlink_to(ROOT / "profiles/slurm")

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [BIN / "snakemake", "--profile", "slurm", *arguments], cwd=tmp_path, env=cluster, text=True, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return run


def test_two_jobs_with_a_gpu_each_run_at_the_same_time_on_two_nodes(cluster, tmp_path):
    # each waits for the other's file, so both end only if they run together
    task = 'srun -n1 sh -c "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES > {me}; until [ -e {other} ]; do :; done"'
    jobs = [
        subprocess.Popen(
            ["sbatch", "--wait", "--gres=gpu:1", "--mem=100", "--time=1", "--output=/dev/null", f"--chdir={tmp_path}",
             "--wrap", task.format(me=me, other=other)],
            env=cluster, stdout=subprocess.DEVNULL,
        )
        for me, other in (("one", "two"), ("two", "one"))
    ]  # fmt: skip
    assert [job.wait(timeout=60) for job in jobs] == [0, 0]
    said = [(tmp_path / name).read_text().split() for name in ("one", "two")]
    assert {node for node, _ in said} == {"node1", "node2"}
    assert all(device in ("0", "1") for _, device in said)


def test_a_job_without_a_gpu_sees_none_and_too_many_are_refused(cluster, tmp_path):
    seen = tmp_path / "seen"
    slurm(cluster, "sbatch", "--wait", "--mem=100", f"--output={seen}", "--wrap", "echo cuda=$CUDA_VISIBLE_DEVICES.")
    assert seen.read_text().strip() == "cuda=."
    asked = ["sbatch", "--gres=gpu:3", "--mem=100", "--wrap", "true"]
    assert "not available" in subprocess.run(asked, env=cluster, capture_output=True, text=True).stderr


def test_the_nodes_share_the_memory_of_the_machine(cluster):
    memory = [int(size) for size in slurm(cluster, "sinfo", "-h", "-N", "-p", "gpu", "-o", "%m").split()]
    machine = int(Path("/proc/meminfo").read_text().split()[1]) / 1024
    assert len(memory) == 2 and sum(memory) < machine


def test_a_workflow_ends_where_sacct_is_installed_but_accounting_is_off(small_workflow, tmp_path):
    assert shutil.which("sacct")
    done = small_workflow()
    assert done.returncode == 0, done.stdout
    job, device = (tmp_path / "copy").read_text().split()
    assert job.isdigit() and device in ("0", "1")


@pytest.mark.parametrize("wrong", ["slurm_partition=nosuch", "slurm_account=nosuch", "constraint=nosuch"])
def test_what_the_cluster_does_not_have_is_told_once_before_anything_is_submitted(small_workflow, cluster, wrong):
    before = slurm(cluster, "squeue", "-h", "--states=all")
    refused = small_workflow("--default-resources", wrong)
    assert refused.returncode == 2
    (message,) = [line for line in refused.stdout.splitlines() if "rror" in line]
    assert message.startswith("error: SLURM refuses") and wrong.replace("=", ": ") in message
    assert "profile.yaml" in message and "Traceback" not in refused.stdout
    assert slurm(cluster, "squeue", "-h", "--states=all") == before


def test_an_account_that_accounting_does_not_know_is_told_in_one_line(small_workflow, cluster, monkeypatch, tmp_path):
    sacctmgr = tmp_path / "bin/sacctmgr"
    sacctmgr.parent.mkdir()
    sacctmgr.write_text("#!/bin/sh\necho lab\necho others\n")
    sacctmgr.chmod(0o755)
    monkeypatch.setitem(cluster, "PATH", f"{sacctmgr.parent}:{cluster['PATH']}")
    refused = small_workflow("--default-resources", "slurm_account=nosuch")
    assert refused.returncode == 2
    (message,) = [line for line in refused.stdout.splitlines() if "rror" in line]
    assert "nosuch appears to be invalid. Available accounts: " in message and "profile.yaml" in message


def test_a_refusal_after_the_head_began_is_told_once_at_the_end_and_costs_nothing(small_workflow, cluster, tmp_path):
    refused = small_workflow("--config", "drain=1")
    slurm(cluster, "scontrol", "update", "partitionname=gpu", "state=up")
    assert refused.returncode == 1 and "Traceback" not in refused.stdout
    (message,) = [line for line in refused.stdout.splitlines() if line.startswith("error: ")]
    assert "SLURM took no more jobs" in message and "inactive or drain" in message and "same command again" in message
    again = small_workflow("--default-resources", "slurm_account=lab")  # the cluster's own account
    assert again.returncode == 0 and (tmp_path / "copy").exists(), again.stdout


def test_a_requeued_job_starts_again_within_seconds(cluster, tmp_path):
    # it asks for its own requeue the first time
    again = '[ -n "$SLURM_RESTART_COUNT" ] || { scontrol requeue $SLURM_JOB_ID; sleep 60; }'
    waited = ["sbatch", "--wait", "--requeue", "--mem=100", f"--output={tmp_path}/log", "--wrap", again]
    assert subprocess.run(waited, env=cluster, capture_output=True, timeout=60).returncode == 0


def test_the_script_says_what_is_up_and_what_is_not(cluster, tmp_path):
    twice = script("up", Path(cluster["SLURM_CONF"]).parent)
    assert (twice.returncode, twice.stderr.count("\n")) == (2, 1) and "up already" in twice.stderr
    elsewhere = script("up", tmp_path)
    assert elsewhere.returncode == 2 and f"cluster down {Path(cluster['SLURM_CONF']).parent}" in elsewhere.stderr
    nothing = script("down", tmp_path)
    assert nothing.returncode == 0 and "no SLURM is up" in nothing.stdout
    assert script("sideways").returncode == 2
    assert slurm(cluster, "scontrol", "ping").count("is UP") == 1


def test_a_folder_that_holds_other_things_is_left_alone(cluster, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/thesis.tex").touch()
    refused = script("up", tmp_path)
    assert refused.returncode == 2 and f"{tmp_path} holds what is of no cluster" in refused.stderr
    assert (tmp_path / "state/thesis.tex").exists()


def test_only_root_starts_a_cluster():
    another = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    # through a pipe, since another user may not be let into this checkout
    refused = subprocess.run(
        ["bash", "-s", "up", "/nowhere"], input=CLUSTER.read_text(), cwd="/", capture_output=True, text=True, **another
    )
    assert (refused.returncode, refused.stderr) == (CANNOT, "error: starting a SLURM needs root\n")


def test_without_a_slurm_the_head_says_so(tmp_path):
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    (tmp_path / "slurm").symlink_to(ROOT / "profiles/slurm")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "bash", "which", "git"):
        (tools / name).symlink_to(shutil.which(name))
    refused = subprocess.run(
        [sys.executable, "-m", "snakemake", "--profile", "slurm"], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": str(tools), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert refused.returncode == 2
    assert "error: there is no SLURM on this machine" in refused.stderr and "Traceback" not in refused.stderr
