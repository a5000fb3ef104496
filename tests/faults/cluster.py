"""Faults of a cluster, done through a real SLURM (tests/slurm/cluster)."""

import os
import re
import signal
import subprocess
from pathlib import Path

from faults.scene import Scene

#: what a scene's Snakemake is started with; the memory of a pack fits the nodes at every attempt
PROFILE = (
    "--profile", "slurm", "--slurm-init-seconds-before-status-checks", "3",
    "--set-resources", "train:mem_mb=2000",
)  # fmt: skip


def _ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def _start(scene: Scene) -> tuple[subprocess.Popen, str]:
    """A head, and the job in which its pack is at its second run."""
    head = scene.start_to_second_run()
    (job,) = _ask("squeue", "--noheader", "--states=RUNNING", "--Format=JobID,WorkDir:500").splitlines()
    assert str(scene.folder) in job
    return head, job.split()[0]


def slurm_signal(scene: Scene) -> None:
    """SIGUSR1 to the job's step, as SLURM sends it before the time limit."""
    head, job = _start(scene)
    _ask("scancel", "--signal=USR1", job)
    scene.resume(head)


def slurm_requeue(scene: Scene) -> None:
    """`scontrol requeue`."""
    head, job = _start(scene)
    _ask("scontrol", "requeue", job)
    scene.resume(head)


def slurm_cancel(scene: Scene) -> None:
    """`scancel`."""
    head, job = _start(scene)
    _ask("scancel", job)
    scene.resume(head)
    jobs = [line for line in _ask("scontrol", "-o", "show", "job").splitlines() if f"WorkDir={scene.folder} " in line]
    # the next attempt asks for more time
    assert [re.search(r"TimeLimit=(\S+)", line)[1] for line in jobs] == ["12:00:00", "1-00:00:00"]


def slurm_preemption(scene: Scene) -> None:
    """A job of a higher priority takes all nodes."""
    head, _ = _start(scene)
    _ask("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=true")
    scene.resume(head)


def slurm_node_dies(scene: Scene) -> None:
    """SIGKILL to slurmd and to all that the job runs on its node."""
    head, job = _start(scene)
    node = re.search(r"BatchHost=(\S+)", _ask("scontrol", "show", "job", job))[1]
    configuration = Path(os.environ["SLURM_CONF"])
    slurmd = configuration.parent / f"slurmd-{node}.pid"
    os.kill(int(slurmd.read_text()), signal.SIGKILL)
    for process in _steps(configuration.parent) + scene.processes("."):
        if process != head.pid:
            os.kill(process, signal.SIGKILL)
    try:
        scene.resume(head)
    finally:
        _ask("slurmd", "-f", str(configuration), "-N", node)


def slurm_controller_dies(scene: Scene) -> None:
    """SIGKILL to slurmctld, which then starts again."""
    head, _ = _start(scene)
    configuration = Path(os.environ["SLURM_CONF"])
    os.kill(int((configuration.parent / "slurmctld.pid").read_text()), signal.SIGKILL)
    _ask("slurmctld", "-f", str(configuration))
    scene.finish_once(head)


def slurm_head_dies(scene: Scene) -> None:
    """SIGKILL to Snakemake while its job is at the first run; a new one starts."""
    head = scene.start()
    scene.until_training()
    os.kill(head.pid, signal.SIGKILL)
    head.wait()
    scene.finish_once()


def _steps(folder: Path) -> list[int]:
    """The daemons that look after the jobs of a node; they work in the cluster's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cmdline").read_text().startswith("slurmstepd") and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


FAULTS = (
    slurm_signal,
    slurm_requeue,
    slurm_cancel,
    slurm_preemption,
    slurm_node_dies,
    slurm_controller_dies,
    slurm_head_dies,
)
