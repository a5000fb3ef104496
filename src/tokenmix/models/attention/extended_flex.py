"""Local attention with slopes and with a global token on CUDA: `extended.extended_attention` by FlexAttention."""

import functools
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask

from tokenmix.models.attention.extended import direction
from tokenmix.models.attention.flex import compiled, visible


def sees(grid: tuple[int, ...], kernel: int) -> Any:
    """The mask of FlexAttention: neighbours on the map, and everything from and to the token behind it."""
    near, tokens = visible(grid, kernel), math.prod(grid)

    def mask(batch: Any, head: Any, q: Any, k: Any) -> Any:
        return (near(batch, head, q, k) & (q < tokens) & (k < tokens)) | (q == tokens) | (k == tokens)

    return mask


def leans(grid: tuple[int, ...], slope: float) -> Any:
    """The change of scores of FlexAttention: each head's slope between positions of the map."""
    tokens = math.prod(grid)

    def change(score: Any, batch: Any, head: Any, q: Any, k: Any) -> Any:
        on_map = (q < tokens) & (k < tokens)
        axis, sign = direction(head, len(grid))
        # from the last axis to the first: the remainder is the coordinate, the quotient numbers the rest
        for number in reversed(range(len(grid))):
            side = grid[number]
            counts = on_map & (axis == number)
            score = score + torch.where(counts, slope * sign * (k % side - q % side), 0.0)
            q, k = q // side, k // side
        return score

    return change


@functools.lru_cache(maxsize=64)
def _compiled(grid: tuple[int, ...], kernel: int, slope: float, tokens: int, device: torch.device) -> Any:
    mask = create_block_mask(sees(grid, kernel), None, None, tokens, tokens, device=device)
    change = leans(grid, slope) if slope else None
    return functools.partial(compiled(), score_mod=change, block_mask=mask)


@torch.compiler.disable  # see `flex`
def extended_attention(qkv: Tensor, grid: tuple[int, ...], kernel: int, slope: float) -> Tensor:
    """See `extended.extended_attention`; D is a power of two from 16."""
    # (B, T, 3, heads, D) -> three of (B, heads, T, D)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()
    return _compiled(grid, kernel, slope, qkv.shape[1], qkv.device)(q, k, v).transpose(1, 2)
