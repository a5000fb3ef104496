"""Local attention on CUDA: FlexAttention (Dong et al., arXiv 2412.05496) with a mask of blocks.

Tokens are numbered row by row, so that a neighbourhood is a band of k short runs; blocks of keys that no
query of a block sees are skipped, and the others test each pair by its coordinates.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention


def visible(grid: tuple[int, ...], kernel: int) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The mask of FlexAttention: may query token number q see key token number k of a map of size `grid`?"""
    reach = kernel // 2

    def mask(batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        near = (q >= 0) & (k >= 0)
        # from the last axis to the first: the remainder is the coordinate, the quotient numbers the rest
        for side in reversed(grid):
            near = near & ((q % side - k % side).abs() <= reach)
            q, k = q // side, k // side
        return near

    return mask


def compiled() -> Any:
    """FlexAttention for the maps of one mask; a new one for each, which may be called with any batch and precision.

    Every size of batch gets a kernel of its own: one that serves many sizes is chosen by those that came before, so
    that a run that goes on from its state would not end in the same bytes.
    """
    return torch.compile(  # type: ignore[call-overload]
        flex_attention, fullgraph=True, dynamic=False, isolate_recompiles=True, recompile_limit=64
    )


@functools.lru_cache(maxsize=64)
def _compiled(grid: tuple[int, ...], kernel: int, device: torch.device) -> Any:
    # the mask is the same for all images and heads
    tokens = math.prod(grid)
    mask = create_block_mask(visible(grid, kernel), None, None, tokens, tokens, device=device)
    return functools.partial(compiled(), block_mask=mask)


@torch.compiler.disable  # masks are made once and kept, which a trace through here would not do
def local_attention(qkv: Tensor, kernel: int) -> Tensor:
    """See `op.local_attention`; `qkv` is (B, H, W, 3, heads, D) with D a power of two from 16."""
    grid = tuple(qkv.shape[1:-3])
    # (B, H, W, 3, heads, D) -> three of (B, heads, N, D)
    q, k, v = qkv.flatten(1, -4).permute(2, 0, 3, 1, 4).unbind()
    out = _compiled(grid, kernel, qkv.device)(q, k, v)
    return out.transpose(1, 2).reshape(qkv.shape[:-3] + qkv.shape[-2:])
