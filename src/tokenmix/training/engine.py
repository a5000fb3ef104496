"""Training under one protocol: batches, augmentation, steps, validation and the choice of the checkpoint.

Everything of a step is handed to the device without waiting for it. The host waits at a validation, when it
writes state, and every `LOOK_EVERY` steps, when it looks whether the run diverged; none of these
changes a result. Shapes: B batch, C channels, H height, W width, K classes, N cases.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tokenmix.data.batches import DeviceSplit, Prepared, normalise
from tokenmix.models.build import build_model
from tokenmix.models.spatial import CHANNELS_LAST, lay_channels_last
from tokenmix.training.augment import random_affine
from tokenmix.training.divergence import Watch
from tokenmix.training.initial import start_from
from tokenmix.training.loss import Criterion
from tokenmix.training.metrics import validation_metrics
from tokenmix.training.optimiser import AdamW
from tokenmix.training.plan import Protocol
from tokenmix.training.schedule import learning_rate, validates

#: steps between two looks at the watch; bounds how far the host runs ahead of the device as well
LOOK_EVERY = 100


@dataclass
class Best:
    """The checkpoint that validation chose; before the first one the initial weights (epoch 0, no score)."""

    epoch: int
    iteration: int
    score: float | None
    weights: dict[str, torch.Tensor]


@dataclass
class Clock:
    """Wall-clock figures over all attempts, for the attestation's `execution`."""

    training_seconds: float = 0.0
    images: int = 0
    first_step: float | None = None  # time.time() when the first step of this process was done

    @property
    def images_per_second(self) -> float:
        """Images trained per second, without validation."""
        return self.images / self.training_seconds if self.training_seconds else 0.0


def seed_for(seed: int, purpose: str) -> int:
    """An independent seed for each use of chance in a run."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


class Training:
    """One run under one protocol, from its first step or from a saved state to its last."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        protocol: Protocol,
        prepared: Prepared,
        device: torch.device,
        weights: Path | None = None,
    ) -> None:
        self.protocol, self.prepared, self.device = protocol, prepared, device
        self.seed: int = spec["seed"]
        card = prepared.card
        torch.manual_seed(seed_for(self.seed, "init"))
        # built on the host: the same initial weights whatever the device
        self.model = build_model(
            spec["model"],
            channels=card["channels"],
            classes=len(card["classes"]),
            size=card["size"],
            dimensions=card["dimensions"],
            options=spec["model_options"],
        )
        #: where the initial weights came from, for runs that start from published ones
        self.initial = start_from(weights, self.model, spec) if weights else None
        self.model.to(device)
        if protocol.channels_last:
            lay_channels_last(self.model, card["dimensions"])
        self.forward = self._compiled() if protocol.compile else self.model
        # drop path draws from torch's own generators
        torch.manual_seed(seed_for(self.seed, "drop path"))
        self.chance = torch.Generator(device).manual_seed(seed_for(self.seed, "augmentation"))

        self.train = DeviceSplit(prepared, "train", device)
        on_test = {"val": False, "test": True, "test_without_val": bool(card.get("carved"))}
        #: the split whose score picks the checkpoint, and how many of its cases count
        self.selected_on = "test" if on_test[protocol.selection_split] else "val"
        self.val = DeviceSplit(prepared, self.selected_on, device)
        self.selection_cases = protocol.selection_cases(len(self.val))
        self.criterion = Criterion(card, protocol.class_weights, protocol.label_smoothing, device)
        self.optimiser = AdamW(self.model.parameters(), protocol.weight_decay)
        self.watch = Watch(device)
        self.per_epoch = protocol.iterations_per_epoch(len(self.train))
        self.epochs = protocol.epochs(len(self.train))
        self.iterations = self.epochs * self.per_epoch

        self.epoch = self.step = self.iteration = 0
        self.losses = torch.zeros(2, dtype=torch.float64, device=device)  # their sum and number since a validation
        self.best = Best(0, 0, None, self._copy_weights())
        self.history: list[dict[str, Any]] = []
        self.clock = Clock()

    @property
    def finished(self) -> bool:
        """Whether the last epoch is trained and validated."""
        return self.epoch == self.epochs

    def run(
        self,
        after_step: Callable[["Training"], None],
        validated: Callable[[dict[str, Any], bool, float], None],
    ) -> tuple[int, str] | None:
        """Train to the end; returns None, or where (iteration) and why the run diverged.

        `after_step` may write state or raise; `validated` gets each row of the history, whether it is the
        best so far, and images per second.
        """
        self._start_clock()
        while not self.finished:
            self.model.train()
            lr = learning_rate(self.epoch, self.epochs, self.protocol)
            order = self._order(self.epoch)
            while self.step < self.per_epoch:
                self._take_step(order, lr)
                self.step += 1
                self.iteration += 1
                if self.clock.first_step is None:
                    self._wait()
                    self.clock.first_step = time.time()
                after_step(self)
                if self.iteration % LOOK_EVERY == 0 and (divergence := self.watch.read()):
                    return divergence
            if validates(self.epoch, self.epochs, self.protocol.validations):
                if divergence := self.watch.read():
                    return divergence
                self._stop_clock()
                row, best = self._validate(lr)
                if best is None:
                    return self.iteration, "the loss on the validation split, or a weight, is not finite"
                validated(row, best, self.clock.images_per_second)
                self._start_clock()
            self.epoch += 1
            self.step = 0
        return None

    def _compiled(self) -> Any:
        # tells the compiler as well to use deterministic algorithms only
        torch.use_deterministic_algorithms(True)
        # a graph for each size of batch: one for all depends on which came first, and no run could go on exactly
        return torch.compile(self.model, dynamic=False, recompile_limit=64)  # type: ignore[call-overload]

    def _start_clock(self) -> None:
        self._lap = time.monotonic(), self.iteration

    def _stop_clock(self) -> None:
        self._wait()
        started, first = self._lap
        self.clock.training_seconds += time.monotonic() - started
        self.clock.images += (self.iteration - first) * self._images_per_step()

    def _order(self, epoch: int) -> torch.Tensor:
        """The training cases of an epoch in a random order that depends on seed and epoch alone."""
        generator = torch.Generator().manual_seed(seed_for(self.seed, f"shuffle {epoch}"))
        order = torch.randperm(len(self.train), generator=generator)
        if not self.train.resident:
            return order
        pinned = order.pin_memory() if self.device.type == "cuda" else order
        return pinned.to(self.device, non_blocking=True)

    def _images_per_step(self) -> int:
        return min(self.protocol.batch_size * self.protocol.accumulation, len(self.train))

    def _take_step(self, order: torch.Tensor, lr: float) -> None:
        size = self._images_per_step()
        index = order[self.step * size : (self.step + 1) * size]
        labels = self.train.labels.index_select(0, index.to(self.device, non_blocking=True))
        weight = self.criterion.total_weight(labels)
        loss = torch.zeros((), device=self.device)
        for part in index.split(self.protocol.batch_size):
            x_BCHW, labels_B = self.train.batch(part)
            x_BCHW = random_affine(x_BCHW, self.protocol.affine_std, self.chance)
            logits_BK = self._logits(x_BCHW)
            part_loss = self.criterion.loss_sum(logits_BK, labels_B) / weight
            part_loss.backward()
            loss += part_loss.detach()
        norm = torch.nn.utils.get_total_norm(self.optimiser.gradients())
        self.watch.check(self.iteration + 1, loss, norm)
        self.optimiser.step(lr, skip=self.watch.tripped)
        self.optimiser.clear_gradients()
        self.losses += torch.stack([loss.double(), torch.ones_like(loss, dtype=torch.float64)])

    def _logits(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        layout = CHANNELS_LAST[x_BCHW.ndim] if self.protocol.channels_last else torch.contiguous_format
        x_BCHW = normalise(x_BCHW, self.prepared.card).contiguous(memory_format=layout)
        half = self.protocol.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if half else contextlib.nullcontext():
            return self.forward(x_BCHW).float()

    @torch.no_grad()
    def predict(self, split: DeviceSplit, cases: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits `(N, K)` float32 and labels of the first N `cases` of a split, by default of all."""
        self.model.eval()
        index = torch.arange(len(split) if cases is None else cases)
        logits = []
        for part in index.split(self.protocol.batch_size):
            x_BCHW, _ = split.batch(part)
            logits.append(self._logits(x_BCHW))
        return torch.cat(logits), split.labels[: len(index)]

    def _validate(self, lr: float) -> tuple[dict[str, Any], bool | None]:
        """A row of the history and whether it is the best; None where there is nothing finite to choose."""
        logits_NK, labels = self.predict(self.val, self.selection_cases)
        loss = self.criterion.loss_sum(logits_NK, labels) / self.criterion.total_weight(labels)
        metrics = validation_metrics(self.criterion.probabilities(logits_NK), labels)
        values = {f"val_{name}": value.item() for name, value in {"loss": loss, **metrics}.items()}
        total, steps = self.losses.tolist()
        self.losses.zero_()
        row = {
            "epoch": self.epoch + 1,
            "iteration": self.iteration,
            "lr": lr,
            "train_loss": total / steps,
            **values,
        }
        finite = torch.stack([t.isfinite().all() for t in [loss, *self.model.parameters()]]).all()
        if not finite:
            return row, None
        self.history.append(row)
        score = -row["val_loss"] if self.protocol.selection == "loss" else row[f"val_{self.protocol.selection}"]
        best = self.best.score is None or score > self.best.score
        if best:
            self.best = Best(self.epoch + 1, self.iteration, score, self._copy_weights())
        return row, best

    def _copy_weights(self) -> dict[str, torch.Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _device_state(self) -> list[torch.Tensor]:
        return [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state(),
            "watch": self.watch.state(),
            "losses": self.losses,
            "position": [self.epoch, self.step, self.iteration],
            "chance": self.chance.get_state(),
            "drop_path": [torch.get_rng_state(), *self._device_state()],
            "best": asdict(self.best),
            "history": self.history,
            "clock": [self.clock.training_seconds, self.clock.images],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where the process that made `state` was."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load(state["optimiser"])
        self.watch.load(state["watch"])
        self.losses.copy_(state["losses"])
        self.epoch, self.step, self.iteration = state["position"]
        self.chance.set_state(state["chance"])
        torch.set_rng_state(state["drop_path"][0])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["drop_path"][1], self.device)
        self.best = Best(**state["best"])
        self.history = state["history"]
        self.clock = Clock(*state["clock"])
