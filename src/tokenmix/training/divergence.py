"""Watching for divergence on the device: no step whose loss or gradient is not finite enters the weights."""

from typing import Any

import torch

CAUSES = {1: "the loss is not finite", 2: "the norm of the gradient is not finite"}


class Watch:
    """Loss and gradient norm of every step, judged on the device and read by the host only now and then.

    `tripped` is 0.0 until the first bad step and 1.0 ever after: the optimiser takes it as `found_inf` and
    then leaves the weights alone, so that the outcome does not depend on when the host looks.
    """

    def __init__(self, device: torch.device) -> None:
        self.tripped = torch.zeros((), dtype=torch.float32, device=device)
        self._iteration = torch.zeros((), dtype=torch.int64, device=device)
        self._cause = torch.zeros((), dtype=torch.int64, device=device)

    def check(self, iteration: int, loss: torch.Tensor, gradient_norm: torch.Tensor) -> None:
        """Judge step `iteration` (from 1) before it is taken; waits for nothing."""
        loss_bad = ~torch.isfinite(loss)
        bad = loss_bad | ~torch.isfinite(gradient_norm)
        first = bad & (self.tripped == 0)
        self._iteration = torch.where(first, iteration, self._iteration)
        self._cause = torch.where(first, torch.where(loss_bad, 1, 2), self._cause)
        self.tripped = torch.maximum(self.tripped, bad.to(torch.float32))

    def read(self) -> tuple[int, str] | None:
        """The first bad step and why it was bad, or None; waits for the device."""
        cause = int(self._cause)
        return (int(self._iteration), CAUSES[cause]) if cause else None

    def state(self) -> dict[str, Any]:
        """What `load` needs to go on watching."""
        return {"tripped": self.tripped, "iteration": self._iteration, "cause": self._cause}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what another process saw."""
        device = self.tripped.device
        self.tripped = state["tripped"].to(device)
        self._iteration = state["iteration"].to(device)
        self._cause = state["cause"].to(device)
