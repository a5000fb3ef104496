"""What only the process does that the user starts: freeze the study, and refuse what this machine cannot carry."""

import os
import sys
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from tokenmix.errors import UserError
from tokenmix.study.cost import estimate, has_gpu, too_costly_here
from tokenmix.study.load import load_config
from tokenmix.study.plan import freeze


def use_this_python() -> None:
    """Rules say `python`: the one that runs Snakemake, unless --sdm conda brings its own."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def freeze_plan(root: str, overrides: dict) -> None:
    """Freeze the study that config.yaml and the command line ask for, and tell all jobs where its index lies."""
    try:
        config = load_config(Path(root), overrides=overrides)
        index = freeze(config, root=Path(root)).index
    except UserError as error:
        refuse(str(error))
    os.environ["TOKENMIX_PLAN"] = str(index.resolve())
    # what follows is no part of any identity, so it is not in the plan
    os.environ["TOKENMIX_CHECKPOINT_SECONDS"] = str(config.execution.checkpoint_seconds)
    mirrors = [os.environ.get("TOKENMIX_MIRRORS", ""), *(str(Path(root, folder)) for folder in config.data.mirrors)]
    os.environ["TOKENMIX_MIRRORS"] = os.pathsep.join(filter(None, mirrors))
    os.environ["TOKENMIX_OFFLINE"] = "1" if config.data.offline else os.environ.get("TOKENMIX_OFFLINE", "")


def stop_if_too_costly(workflow, plan: dict) -> None:
    """Stop before the first job where a study made for GPUs would be trained on this machine's CPU."""
    if not plan["execution"]["needs_gpu"] or workflow.non_local_exec or has_gpu():
        return
    wanted = [plan["runs"][job.wildcards.run] for job in workflow.dag.needrun_jobs() if job.rule.name == "train"]
    if wanted:
        refuse(too_costly_here(estimate(wanted), plan["study"]))


def refuse(message: str) -> NoReturn:
    """End with one message; Snakemake's own errors add the line of the Snakefile, which is not the user's mistake."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
