"""What only the process does that the user starts: freeze the study, and refuse what this machine cannot carry."""

import atexit
import contextlib
import gc
import json
import os
import shutil
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from tokenmix.errors import UserError
from tokenmix.files import write_atomic
from tokenmix.study.cost import Throughput, estimate, has_gpu, too_costly_here
from tokenmix.study.load import load_config
from tokenmix.study.packs import freeze_packs
from tokenmix.study.plan import freeze_runs, freeze_study
from tokenmix.study.tolerant import read_object
from tokenmix.training.lease import is_gone, machine, this_process

#: seconds between two signs of life of a head, and the silence after which one on another machine is dead (what
#: network file systems tell about a file may be a minute old, and a machine may be busy)
BEAT, SILENCE = 30.0, 600.0


def begin(workflow, overrides: dict) -> Callable[[], None]:
    """All that must be so before the rules are read; returns what else must be done before the first job."""
    # thousands of jobs are built now and none is dropped: looking for garbage all the time took a seventh of a dry run
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
    use_this_python()
    free_locks_of_the_dead()
    return freeze_plan(workflow, overrides)


def use_this_python() -> None:
    """Rules say `python`: the one that runs Snakemake, unless --sdm conda brings its own."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def freeze_plan(workflow, overrides: dict) -> Callable[[], None]:
    """Freeze the study that config.yaml and the command line ask for, and tell all jobs where it lies.

    The file of each run is left to the function that it returns: a dry run of thousands needs none of them.
    """
    root = Path(workflow.basedir)
    workers = trains_at_once(workflow)
    try:
        config = load_config(root, overrides=overrides)
        plan = freeze_study(config, root)
        packs = freeze_packs(plan.content, root, workers)
    except UserError as error:
        refuse(str(error))
    os.environ["TOKENMIX_PLAN"] = str(plan.index.resolve())
    os.environ["TOKENMIX_PACKS"] = str(packs.resolve())
    os.environ["TOKENMIX_CODE"] = str((root / plan.content["workbench"]).resolve())
    # what follows is no part of any identity, so it is not in the plan
    os.environ["TOKENMIX_CHECKPOINT_SECONDS"] = str(config.execution.checkpoint_seconds)
    configured = [str(root / Path(folder).expanduser()) for folder in config.data.mirrors]
    mirrors = [os.environ.get("TOKENMIX_MIRRORS", ""), *configured]
    os.environ["TOKENMIX_MIRRORS"] = os.pathsep.join(filter(None, mirrors))
    os.environ["TOKENMIX_OFFLINE"] = "1" if config.data.offline else os.environ.get("TOKENMIX_OFFLINE", "")

    def freeze_files_of_runs() -> None:
        try:
            freeze_runs(plan, config)
        except UserError as error:
            refuse(str(error))

    return freeze_files_of_runs


def trains_at_once(workflow) -> int:
    """How many packs this machine trains at the same time; 1 as well on a cluster, where packs should be long.

    A GPU takes one pack at a time, whose runs share it, unless the user says otherwise (--resources gpu=2).
    """
    if workflow.resource_settings.nodes:  # what `jobs` means to an executor
        return 1
    if not has_gpu():
        return workflow.resource_settings.cores
    if "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", 1)
    return 1


def free_locks_of_the_dead() -> None:
    """Remove Snakemake's locks where all heads that worked in this folder are known to be dead.

    Snakemake's locks do not say whose they are; so each head leaves a note of itself and touches it while it lives.
    """
    heads = Path(".snakemake", "heads").absolute()  # notes are touched wherever this process goes later
    mine = heads / f"{uuid.uuid4()}.json"
    write_atomic(mine, json.dumps(this_process()))
    notes = [note for note in heads.glob("*.json") if note != mine]
    # the file server's clock dates all notes, this head's own as well
    dead = [note for note in notes if is_dead(note, now=mine.stat().st_mtime)]
    locks = Path(".snakemake", "locks")
    if dead and len(dead) == len(notes) and any(locks.glob("*.lock")):
        print("an earlier snakemake died in this folder; its locks are removed", file=sys.stderr)
        shutil.rmtree(locks)
    for note in dead:
        note.unlink(missing_ok=True)
    ended = threading.Event()
    atexit.register(mine.unlink, missing_ok=True)
    atexit.register(ended.set)  # comes first
    threading.Thread(target=show_life, args=(mine, ended), daemon=True).start()


def show_life(note: Path, ended: threading.Event) -> None:
    """Touch a note until the head ends or its folder is away.

    A note that is away was taken for that of a dead head, while this one was suspended: it is written again.
    """
    while not ended.wait(BEAT):
        try:
            os.utime(note)
        except FileNotFoundError:
            if not note.parent.is_dir():
                return
            if not ended.is_set():
                with contextlib.suppress(UserError):  # a full disk: the next beat tries again
                    write_atomic(note, json.dumps(this_process()))
        except OSError:
            continue  # the file server is away


def is_dead(note: Path, now: float) -> bool:
    """Whether the head that a note describes runs no more: its process is gone, its machine started again, or silence.

    A head beside this one would be seen if it ran, however long it is silent (it may be suspended).
    """
    try:
        silence = now - note.stat().st_mtime
    except FileNotFoundError:
        return True  # it ended just now
    head = read_object(note)
    name, _, rest = str(head.get("host", "")).partition("/")
    here, _, boot = machine().partition("/")
    if name == here and rest.partition("/")[0] not in ("", boot.partition("/")[0]):
        return True
    if head.get("host") == machine() and "pid" in head:
        return is_gone(head)
    return silence > SILENCE


def stop_if_too_costly(workflow, plan: dict) -> None:
    """Stop before the first job where a study made for GPUs would be trained on this machine's CPU."""
    if not plan["execution"]["needs_gpu"] or workflow.non_local_exec or has_gpu():
        return
    packs = {job.wildcards.pack for job in workflow.dag.needrun_jobs() if job.rule.name == "train"}
    trained_by = json.loads(Path(os.environ["TOKENMIX_PACKS"]).read_text())
    wanted = [plan["runs"][run] for run, pack in trained_by.items() if pack in packs]
    if wanted:
        throughput = Throughput.of_finished(Path(workflow.basedir, plan["results"]))
        refuse(too_costly_here(estimate(wanted, throughput), plan["study"]))


def refuse(message: str) -> NoReturn:
    """End with one message; Snakemake's own errors add the line of the Snakefile, which is not the user's mistake."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
