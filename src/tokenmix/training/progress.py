"""What a training says: a moving bar on a terminal, lines in a log file, and `progress.json` for `tokenmix status`."""

import contextlib
import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenmix.training.engine import Training

FILE = "progress.json"
#: least seconds between two writes of `progress.json` that no validation asks for
PAUSE = 5.0


class Progress:
    """Progress of one run, on standard error and in its store; `rich` is loaded on a terminal only."""

    def __init__(self, title: str, training: "Training", store: Path) -> None:
        self._file = store / FILE
        self._facts: dict[str, Any] = {
            "iterations": training.iterations,
            "epochs": training.epochs,
            "selection": training.protocol.selection,
        }
        self._per_epoch = training.per_epoch
        self._images = min(training.protocol.batch_size * training.protocol.accumulation, len(training.train))
        self._first = self._lap = self._written = (training.iteration, time.monotonic())
        self._write(*self._written)
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True))
            self._task = self._bar.add_task(title, total=training.iterations, completed=training.iteration)
            self._bar.start()
        else:
            line = f"{title}: {training.iterations} iterations, {training.iteration} of them done"
            print(line, file=sys.stderr, flush=True)

    def step(self, iteration: int) -> None:
        """One more optimiser step was handed to the device."""
        if self._bar is not None:
            self._bar.update(self._task, completed=iteration)
        now = time.monotonic()
        if now - self._written[1] >= PAUSE:
            # the host runs ahead of the device by some steps, which average out over the pause
            steps, seconds = iteration - self._lap[0], now - self._lap[1]
            self._facts["images_per_second"] = round(steps * self._images / seconds, 1)
            self._write(iteration, now)

    def validated(self, row: Mapping[str, Any], best: bool, images_per_second: float) -> None:
        """One validation: a row of the history."""
        line = (
            f"epoch {row['epoch']}  iteration {row['iteration']}  lr {row['lr']:.2e}  "
            f"train loss {row['train_loss']:.4f}  val loss {row['val_loss']:.4f}  "
            f"balanced accuracy {row['val_balanced_accuracy']:.4f}  F1 {row['val_f1_macro']:.4f}  "
            f"{images_per_second:.0f} images/s{'  best so far' if best else ''}"
        )
        self.say(line)
        selection = self._facts["selection"]
        self._facts |= {
            "loss": row["train_loss"],
            "score": row[f"val_{selection}"],
            "validated_epoch": row["epoch"],
            "images_per_second": round(images_per_second, 1),
        }
        self._lap = (row["iteration"], time.monotonic())
        self._write(*self._lap)

    def _write(self, iteration: int, now: float) -> None:
        """Replace `progress.json`; not flushed to the disk, since it may be lost without harm."""
        self._written = (iteration, now)
        done, total = iteration - self._first[0], self._facts["iterations"]
        left = (total - iteration) * (now - self._first[1]) / done if done else math.nan
        facts = {
            **self._facts,
            "iteration": iteration,
            "epoch": math.ceil(iteration / self._per_epoch),
            "seconds_left": None if math.isnan(left) else round(left, 1),
        }
        temporary = self._file.with_name(f".{FILE}")
        # a view of the run must never end it
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(facts))
            temporary.rename(self._file)

    def say(self, line: str) -> None:
        """A line above the bar."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
