"""A global token beside the map: a learned vector that every position sees, in every stage.

Status report of Keuth et al.: a vector of the first stage's width, taken to the width of each further stage by a
linear layer; it shares norms, attention and channel MLP with the positions. Map and token travel as one map of
one column, (B, C, N + 1, 1), the token last, so that blocks treat it as one more position.
"""

import math

import torch
from torch import Tensor, nn

from tokenmix.models.extensions._attention import extended_mixers
from tokenmix.models.metaformer import MetaFormer


class First(nn.Module):
    """The stem's patch embedding, then the learned token behind its positions."""

    def __init__(self, embedding: nn.Module, width: int) -> None:
        super().__init__()
        self.embedding = embedding
        self.token_C = nn.Parameter(nn.init.trunc_normal_(torch.empty(width), std=0.02))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.embedding(x_BCHW)
        return _joined(x_BCHW, self.token_C.to(x_BCHW.dtype).expand(len(x_BCHW), -1))


class Next(nn.Module):
    """A further patch embedding for the map, of size `grid` before it, and a linear layer for the token."""

    def __init__(self, embedding: nn.Module, width_before: int, width: int, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.grid = grid
        self.embedding = embedding
        self.project = nn.Linear(width_before, width)

    def forward(self, x_BCT1: Tensor) -> Tensor:
        positions = math.prod(self.grid)
        x_BCHW = x_BCT1[:, :, :positions, 0].unflatten(2, self.grid)
        return _joined(self.embedding(x_BCHW), self.project(x_BCT1[:, :, positions, 0]))


def _joined(x_BCHW: Tensor, token_BC: Tensor) -> Tensor:
    x_BTC = torch.cat([x_BCHW.flatten(2).transpose(1, 2), token_BC[:, None]], 1)
    return x_BTC.transpose(1, 2)[..., None]


def add_token(model: MetaFormer) -> None:
    """Give the model a global token; `model.pool` still has to choose what is classified."""
    for _ in extended_mixers(model):
        pass
    for stage, width in enumerate(model.widths):
        embedding = model.embeddings[stage]
        if stage == 0:
            model.embeddings[stage] = First(embedding, width)
        else:
            model.embeddings[stage] = Next(embedding, model.widths[stage - 1], width, model.grids[stage - 1])
