"""What only the process does that the user starts, where jobs go to SLURM: ask the cluster before it submits."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import snakemake_executor_plugin_slurm as plugin
from head import refuse
from snakemake_interface_common.exceptions import WorkflowError

#: seconds; the plugin asks squeue for its jobs at most three minutes apart
LONGEST_PAUSE = 180
#: seconds; what MinJobAge=0 stands for
FOR_EVER = 10**9


def check_cluster(workflow) -> None:
    """Choose how jobs are watched, and refuse with one message what SLURM would refuse job by job."""
    if workflow.executor_plugin.name != "slurm":
        return
    missing = [name for name in ("sbatch", "squeue", "scontrol", "srun") if not shutil.which(name)]
    if missing:
        refuse(
            f"there is no SLURM on this machine (not found: {', '.join(missing)}); start Snakemake on a login node of "
            "the cluster, or without --profile slurm"
        )
    choose_status_command(workflow, ask_configuration())
    one_job_each = {job.rule.name: job for job in workflow.dag.needrun_jobs() if not job.is_local}
    for job in one_job_each.values():
        try_submission(workflow, job)


def ask_configuration() -> dict[str, str]:
    """SLURM's own configuration, from its controller."""
    asked = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True)
    if asked.returncode:
        refuse(
            f"SLURM's controller does not answer ({last_line(asked.stderr)}); nothing was submitted; start again when "
            "`scontrol ping` says that it is up"
        )
    return dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", asked.stdout, re.MULTILINE))


def choose_status_command(workflow, configuration: dict[str, str]) -> None:
    """Watch jobs with squeue where accounting is off; else leave the user's choice, or the plugin's, which is sacct.

    Without accounting sacct knows nothing, and the plugin would wait for ever: it takes sacct wherever it is installed.
    """
    if "slurmdbd" in configuration.get("AccountingStorageType", ""):
        return
    told = re.match(r"\d+", configuration.get("MinJobAge", ""))  # "300 sec"
    kept = int(told[0]) or FOR_EVER if told else None
    if kept is None or kept <= LONGEST_PAUSE:
        soon = f"{kept} seconds after their end" if kept else "at a time that it does not tell (no MinJobAge)"
        refuse(
            f"SLURM's accounting is off here and squeue forgets jobs {soon}, so Snakemake "
            "could miss it and wait for ever; ask the administrators for accounting, or for the default MinJobAge=300"
        )
    workflow.executor_settings.status_command = "squeue"
    # The plugin asks the controller for MinJobAge before each query; while the controller restarts it gets no answer
    # and turns to sacct after all.
    plugin.get_min_job_age = lambda: kept


def try_submission(workflow, job) -> None:
    """Let sbatch judge what it will get for the jobs of a rule: partition, account, constraint, limits."""
    executor = workflow.scheduler._executor
    # Without an account the plugin would guess one by a call of sacct that always fails, and ends where there is none.
    executor._fallback_account_arg = ""
    try:
        parameters = {
            "run_uuid": "test",
            "slurm_logfile": "/dev/null",
            "comment_str": "test",
            "account": next(executor.get_account_arg(job)),
            "partition": executor.get_partition_arg(job),
            "workdir": workflow.workdir_init,
        }
        command = plugin.get_submit_command(job, parameters, settings=workflow.executor_settings)
        command += f"{plugin.set_gres_string(job)} --test-only --wrap true"
    except (WorkflowError, OSError) as error:  # OSError: no sacctmgr to ask for the account
        refuse(advice(job, str(error)))
    tried = subprocess.run(shlex.split(command), capture_output=True, text=True)
    # nodes that are drained for now look the same as nodes that do not exist; the queue takes such jobs
    if tried.returncode and "node configuration is not available" not in tried.stderr:
        refuse(advice(job, last_line(tried.stderr)))


def advice(job, reason: str) -> str:
    """What SLURM refuses, where it was set, what to do."""
    reason = " ".join(reason.split())
    asked = {name: job.resources.get(name) for name in ("slurm_account", "slurm_partition", "constraint")}
    said = ", ".join(f"{name}: {value}" for name, value in asked.items() if value)
    return (
        f"SLURM refuses the jobs of rule {job.rule.name}: {reason}; they ask for {said or 'no account, no partition'}; "
        "set what your cluster has at the top of profiles/slurm/profile.yaml (`sinfo` lists partitions). "
        "Nothing was submitted"
    )


def tell_refused_jobs(logs: list[str]) -> None:
    """Say once, at the end, why sbatch took jobs no more that it would have taken when the head began.

    logs: Snakemake's own, which hold a page about each attempt.
    """
    text = "".join(Path(log).read_text(errors="replace") for log in logs if Path(log).is_file())
    for reason in dict.fromkeys(re.findall(r"SLURM sbatch failed. The error message was '(.+?)'\.\n", text, re.DOTALL)):
        print(
            f"error: SLURM took no more jobs: {' '.join(reason.split())}; nothing that is finished is lost: start the "
            "same command again when `sinfo` shows that the cluster takes jobs",
            file=sys.stderr,
        )


def last_line(text: str) -> str:
    """A command's own reason."""
    return (text.strip().splitlines() or ["no reason given"])[-1]
