"""What a training says: a moving bar on a terminal, one line per validation in a log file."""

import sys
from collections.abc import Mapping
from typing import Any


class Progress:
    """Progress of one run on standard error; `rich` is loaded on a terminal only."""

    def __init__(self, title: str, iterations: int, done: int) -> None:
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True))
            self._task = self._bar.add_task(title, total=iterations, completed=done)
            self._bar.start()
        else:
            print(f"{title}: {iterations} iterations, {done} of them done", file=sys.stderr, flush=True)

    def step(self, iteration: int) -> None:
        """One more optimiser step was handed to the device."""
        if self._bar is not None:
            self._bar.update(self._task, completed=iteration)

    def validated(self, row: Mapping[str, Any], best: bool, images_per_second: float) -> None:
        """One validation: a row of the history."""
        line = (
            f"epoch {row['epoch']}  iteration {row['iteration']}  lr {row['lr']:.2e}  "
            f"train loss {row['train_loss']:.4f}  val loss {row['val_loss']:.4f}  "
            f"balanced accuracy {row['val_balanced_accuracy']:.4f}  F1 {row['val_f1_macro']:.4f}  "
            f"{images_per_second:.0f} images/s{'  best so far' if best else ''}"
        )
        self.say(line)

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
