"""Coordinate MLP: what a small network makes of each position's coordinates is added before every stage.

Status report of Keuth et al.: two linear layers, 2 -> 16 -> width, leaky ReLU between, coordinates in [-1, 1].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.models.metaformer import MetaFormer

HIDDEN = 16


class CoordinateMLP(nn.Module):
    """Adds a learned function of the coordinates to a map of size `grid`."""

    coordinates_HWA: Tensor

    def __init__(self, dim: int, grid: tuple[int, ...]) -> None:
        super().__init__()
        axes = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in grid), indexing="ij")
        self.register_buffer("coordinates_HWA", torch.stack(axes, -1), persistent=False)
        self.expand = nn.Linear(len(grid), HIDDEN)
        self.contract = nn.Linear(HIDDEN, dim)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        code_HWC = self.contract(F.leaky_relu(self.expand(self.coordinates_HWA)))
        return x_BCHW + code_HWC.movedim(-1, 0)


def extend(model: MetaFormer) -> None:
    """Put a coordinate MLP behind the patch embedding of every stage."""
    for stage, grid in enumerate(model.grids):
        model.embeddings[stage] = nn.Sequential(model.embeddings[stage], CoordinateMLP(model.widths[stage], grid))
