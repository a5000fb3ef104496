"""One training job, from its lease to its published outputs."""

import sys

from tokenmix.training.lease import hold
from tokenmix.training.plan import TrainingPlan, check_code, checkpoint_seconds
from tokenmix.training.signals import StopRequest
from tokenmix.training.store import Store


def run_job(plan: TrainingPlan, stop: StopRequest) -> None:
    """Make the outputs of one run: train it, go on with it, or only publish what is finished.

    Raises UserError for a mistake that the user can mend, Stopped when a signal ended the job.
    """
    check_code(plan)
    interval = checkpoint_seconds()
    store = Store(plan.results, plan.run)
    with hold(store.folder, stop) as lease:
        if not store.is_finished():
            # imported here: publishing what is finished needs no torch
            from tokenmix.training.ladder import train_run

            train_run(plan, store, lease, stop, interval)
        lease.confirm()
        store.publish()
    print(f"{plan.run}: published in {store.published}", file=sys.stderr, flush=True)
