"""Train one run: `python -m tokenmix.training results/plan/<run>.json`, from the project's root folder.

`--only train` leaves the artefacts in the store; `--only publish` trains nothing, and a run that is not
finished is an error.

Exit codes: 0 the run's outputs are published (also where it diverged: that is a result); 2 a mistake
that the user can mend; 75 stopped by a signal, and the same command goes on from there.
"""

import argparse
import os
import sys
from pathlib import Path

from tokenmix.errors import UserError, is_refusal, refused
from tokenmix.training.plan import TrainingPlan, read_plan
from tokenmix.training.signals import EXIT_STOPPED, Stopped, StopRequest


def main(arguments: list[str] | None = None) -> int:
    """Train, or republish what is finished; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tokenmix.training", description=__doc__)
    parser.add_argument("plan", type=Path, help="frozen plan of one run (results/plan/<run>.json)")
    parser.add_argument("--only", choices=("train", "publish"), help="one of the two steps (default: both)")
    parsed = parser.parse_args(arguments)
    stop = StopRequest()
    try:
        plan = read_plan(parsed.plan)
        _prepare_environment(plan)
        # imported here: the environment must be set before numpy and torch start their threads
        from tokenmix.training.job import run_job

        run_job(plan, stop, train=parsed.only != "publish", publish=parsed.only != "train")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # any file may be another user's
        if not is_refusal(error):
            raise
        print(f"error: {refused(error)}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"stopped: {stopped}", file=sys.stderr)
        return EXIT_STOPPED
    return 0


def _prepare_environment(plan: TrainingPlan) -> None:
    """What libraries read once, when they are loaded."""
    threads = str(plan.protocols[0].threads)
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = threads
    # spinning threads of one run would take the cores of another
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # without it cuBLAS may add in another order from call to call
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


if __name__ == "__main__":
    sys.exit(main())
