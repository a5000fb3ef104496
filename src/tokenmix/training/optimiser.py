"""AdamW over PyTorch's fused kernel.

Not `torch.optim.AdamW`, which calls the same kernel: constructing that one imports the compiler of
PyTorch, 1.6 s of every start. A test holds the two together bit by bit.
"""

from collections.abc import Iterable
from typing import Any

import torch

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class AdamW:
    """AdamW (Loshchilov and Hutter, 2019), weight decay on all parameters, norms and biases included, as in
    the reference study (Keuth et al., arXiv 2510.05971, public code)."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], weight_decay: float) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.weight_decay = weight_decay
        # the same memory layout as the parameter: the kernel walks both as flat memory
        self.means = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in self.parameters]
        self.squares = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in self.parameters]
        self.steps = torch.zeros((), dtype=torch.float32, device=self.parameters[0].device)

    def gradients(self) -> list[torch.Tensor]:
        """Gradients of the parameters that took part in the last backward pass."""
        return [p.grad for p in self.parameters if p.grad is not None]

    @torch.no_grad()
    def step(self, lr: float, skip: torch.Tensor) -> None:
        """One update; nothing changes where `skip` is 1.0 on the device."""
        used = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        self.steps += 1 - skip
        torch._fused_adamw_(
            [self.parameters[i] for i in used],
            self.gradients(),
            [self.means[i] for i in used],
            [self.squares[i] for i in used],
            [],
            [self.steps] * len(used),
            lr=lr,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
            found_inf=skip,
        )

    def clear_gradients(self) -> None:
        """Forget the gradients; the next backward pass makes new ones."""
        for parameter in self.parameters:
            parameter.grad = None

    def state(self) -> dict[str, Any]:
        """Moments and number of steps."""
        return {"means": self.means, "squares": self.squares, "steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        """Copy a saved state in, into the memory layout that the parameters have here."""
        for own, saved in zip(self.means + self.squares, state["means"] + state["squares"], strict=True):
            own.copy_(saved)
        self.steps.copy_(state["steps"])
