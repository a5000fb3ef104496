"""One training job, from its lease to its published outputs."""

import sys
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.training.lease import hold
from tokenmix.training.plan import TrainingPlan, check_code, checkpoint_seconds
from tokenmix.training.signals import StopRequest
from tokenmix.training.store import Store

#: lines of a training's log that tell why it is not finished
LAST_LINES = 8


def run_job(plan: TrainingPlan, stop: StopRequest, *, train: bool = True, publish: bool = True) -> None:
    """Make the outputs of one run: train it or go on with it unless it is finished, then publish it.

    Raises UserError for a mistake that the user can mend, also where a run that is not to be trained is not
    finished; Stopped when a signal ended the job.
    """
    if train:
        check_code(plan)
    interval = checkpoint_seconds()
    store = Store(plan.results, plan.run)
    with hold(store.folder, stop) as lease:
        if not store.is_finished():
            if not train:
                raise UserError(f"{plan.run} is not finished; its training said last:\n{_end_of_log(plan.run)}")
            # imported here: publishing what is finished needs no torch
            from tokenmix.training.ladder import train_run

            train_run(plan, store, lease, stop, interval)
        if publish:
            lease.confirm()
            store.publish()
            print(f"{plan.run}: published in {store.published}", file=sys.stderr, flush=True)


def _end_of_log(run: str) -> str:
    log = Path("logs", "train", f"{run}.log")
    try:
        lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    except OSError:
        lines = [f"(there is no {log}; start the workflow again)"]
    return "\n".join(f"    {line}" for line in lines)
