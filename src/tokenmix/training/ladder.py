"""A run from its first rung to its artefacts: train, climb the ladder where a rung diverges, test once."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from tokenmix.data.batches import DeviceSplit, Prepared, open_prepared
from tokenmix.errors import UserError
from tokenmix.files import pretty_json
from tokenmix.training.attest import (
    attestation,
    device_name,
    execution_facts,
    history_file,
    libraries,
    now,
    predictions_file,
    seconds_since_start,
    weights_file,
)
from tokenmix.training.engine import Best, Training
from tokenmix.training.lease import Lease
from tokenmix.training.plan import TrainingPlan, check_card
from tokenmix.training.progress import Progress
from tokenmix.training.signals import Stopped, StopRequest
from tokenmix.training.state import StateSlots
from tokenmix.training.store import Store


def train_run(plan: TrainingPlan, store: Store, lease: Lease, stop: StopRequest, interval: float) -> None:
    """Train the rungs of `plan` in order until one does not diverge; leave the artefacts in `store`."""
    device = _set_up_torch(plan.protocols[0].threads)
    prepared = open_prepared(plan.data_folder)
    check_card(plan, prepared.card)
    climb = _Climb(plan, prepared, device, StateSlots(store.folder), lease, stop, interval)
    while not climb.train_rung():
        climb.next_rung()
    _keep_artefacts(plan, store, climb, lease)
    climb.slots.clear()


def _set_up_torch(threads: int) -> torch.device:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads)
    # the same as use_deterministic_algorithms(True), which imports the compiler of PyTorch (over a second)
    torch.set_deterministic_debug_mode("error")
    # filling fresh memory with NaN finds errors in operators, and costs time in each step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # fp32 in the spec means all of it; bf16 comes from autocast
    torch.backends.cudnn.allow_tf32 = False
    return device


class _Climb:
    """The rungs tried so far, the one being trained, and the state that brings both back."""

    def __init__(
        self,
        plan: TrainingPlan,
        prepared: Prepared,
        device: torch.device,
        slots: StateSlots,
        lease: Lease,
        stop: StopRequest,
        interval: float,
    ) -> None:
        self.plan, self.prepared, self.device = plan, prepared, device
        self.slots, self.lease, self.stop, self.interval = slots, lease, stop, interval
        self.rungs: list[dict[str, Any]] = []
        # of the rungs that diverged, the one with the best validation: it is published where all of them diverge
        self.last_good: dict[str, Any] = {}
        self.started = now()
        self.devices = [device_name(device)]
        self.libraries = libraries()
        saved = slots.load()
        if saved is not None:
            self._check_origin(saved)
            self.rungs, self.last_good = saved["rungs"], saved["last_good"]
            self.started = saved["started"]
            self.devices = list(dict.fromkeys([*saved["devices"], *self.devices]))
        self.training = self._start(self.rung)
        if saved is not None:
            self.training.load(saved["training"])
        self.worked_before: float = saved["worked"] if saved is not None else 0.0
        self.begun = self.written = time.monotonic()

    def _check_origin(self, saved: Mapping[str, Any]) -> None:
        """Only the same libraries on the same kind of device go on exactly."""
        here = {"device": self.device.type, "libraries": self.libraries}
        there = {key: saved[key] for key in here}
        if saved["run"] != self.plan.run or there != here:
            raise UserError(
                f"the state in {self.slots.paths[0].parent} was written by {saved['run']} with {there}, and "
                f"this job has {here}: it would not go on exactly; start it where it ran before, or delete "
                "that folder to begin again"
            )

    @property
    def rung(self) -> int:
        """Index of the rung being trained."""
        return len(self.rungs)

    @property
    def worked(self) -> float:
        """Seconds of work over all attempts, as far as they are on record."""
        return self.worked_before + time.monotonic() - self.begun

    def train_rung(self) -> bool:
        """Train the present rung to its end; True where the run ends with it, diverged or not."""
        training = self.training
        progress = Progress(self._title(), training, self.slots.paths[0].parent)
        try:
            divergence = training.run(after_step=lambda t: self._after_step(t, progress), validated=progress.validated)
            if divergence:
                progress.say(f"diverged in iteration {divergence[0]}: {divergence[1]}")
        finally:
            progress.close()
        entry = {"rung": self.rung, "mark": self.plan.marks[self.rung]}
        if divergence is None:
            self.rungs.append({**entry, "status": "finished", "iterations": training.iteration, "reason": ""})
            return True
        iteration, cause = divergence
        reason = f"{cause} in iteration {iteration}"
        if training.best.score is None:
            reason += ", before the first validation"
        if not self.last_good or _is_better(training.best.score, self.last_good["best"]["score"]):
            self.last_good = {"rung": self.rung, "best": asdict(training.best), "history": training.history}
        self.rungs.append({**entry, "status": "diverged", "iterations": iteration, "reason": reason})
        return self.rung == len(self.plan.protocols)

    def chosen(self) -> tuple[Training, int]:
        """The training whose best checkpoint is the run's result, and its rung."""
        if self.rungs[-1]["status"] == "finished":
            return self.training, self.rungs[-1]["rung"]
        rung = self.last_good["rung"]
        training = self._start(rung)
        training.best, training.history = Best(**self.last_good["best"]), self.last_good["history"]
        return training, rung

    def next_rung(self) -> None:
        """Start again from the beginning under the next rung's protocol."""
        self.training = self._start(self.rung)
        self.write_state()

    def _start(self, rung: int) -> Training:
        plan = self.plan
        return Training(plan.spec, plan.protocols[rung], self.prepared, self.device, plan.weights)

    def _title(self) -> str:
        mark = self.plan.marks[self.rung]
        return self.plan.run + (f" (rung {self.rung}, {mark})" if self.rung else "")

    def _after_step(self, training: Training, progress: Progress) -> None:
        progress.step(training.iteration)
        if self.stop.signal or time.monotonic() - self.written >= self.interval:
            self.write_state()
        if self.stop.signal:
            raise Stopped(
                f"{self.stop.signal} in iteration {training.iteration}; the state is written, "
                "start the same command to go on"
            )

    def write_state(self) -> None:
        """Write all that another process needs to go on exactly."""
        self.lease.confirm()
        self.slots.save(
            {
                "run": self.plan.run,
                "device": self.device.type,
                "libraries": self.libraries,
                "devices": self.devices,
                "started": self.started,
                "worked": self.worked,
                "rungs": self.rungs,
                "last_good": self.last_good,
                "training": self.training.state(),
            }
        )
        self.written = time.monotonic()


def _is_better(score: float | None, than: float | None) -> bool:
    """A validated checkpoint is better than none; of two without validation the later rung counts."""
    return than is None or (score is not None and score > than)


def _keep_artefacts(plan: TrainingPlan, store: Store, climb: _Climb, lease: Lease) -> None:
    """Predict with the chosen weights (the test split is opened here, once), and write all artefacts."""
    training, rung = climb.chosen()
    best = training.best
    training.model.load_state_dict(best.weights)
    arrays = {}
    for name in ("val", "test"):
        logits, labels = training.predict(DeviceSplit(climb.prepared, name, climb.device))
        arrays[f"{name}_scores"] = training.criterion.probabilities(logits).cpu().numpy()
        arrays[f"{name}_labels"] = labels.cpu().numpy()
    lease.confirm()
    outputs = {
        "model.safetensors": weights_file(best.weights),
        "history.csv": history_file(training.history, best.epoch),
        "predictions.npz": predictions_file(arrays),
    }
    checksums = {name: store.keep(name, content) for name, content in outputs.items()}
    outcome = {
        "status": climb.rungs[-1]["status"],
        "mark": climb.rungs[rung]["mark"],
        "rungs": climb.rungs,
        "best": {"rung": rung, "epoch": best.epoch, "iteration": best.iteration, "score": best.score},
        "selected_on": training.selected_on,
        "selection_cases": training.selection_cases,
        "parameters": sum(p.numel() for p in training.model.parameters() if p.requires_grad),
        "outputs": checksums,
        **({"initial_weights": training.initial} if training.initial else {}),
    }
    clock = climb.training.clock
    execution = {
        **execution_facts(climb.device),
        "device": " + ".join(climb.devices),
        "attempts": lease.number,
        "started": climb.started,
        "seconds": round(climb.worked, 3),
        "images_per_second": round(clock.images_per_second, 1),
        "first_step_seconds": seconds_since_start(clock.first_step),
    }
    run_json = pretty_json(attestation(plan, outcome, execution)).encode()
    store.finish({**checksums, "run.json": store.keep("run.json", run_json)})
