"""Local attention with slopes and with a global token: `tokenmix::extended_attention`.

Slopes lean the scores of each head towards one side (Keuth et al.'s "directed" attention): with query and key
at positions p and p' and the head's direction e, one of +x, -x, +y, -y in turn,

    score = (q . k) * D ** -0.5 + slope * e . (p' - p)

A global token sees every position and is seen by all of them; slopes leave its scores alone. It follows the
positions: T = N for plain maps of N positions, T = N + 1 with the token.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tokenmix.models.attention import dense


def extended_attention(qkv: Tensor, grid: tuple[int, ...], kernel: int, slope: float = 0.0) -> Tensor:
    """Attention over the k x k neighbourhood on the map and the global token, if there is one; differentiable.

    Args:
        qkv: (B, T, 3, heads, D); the first N tokens are the map's, row by row.
        grid: size of the map.
        kernel: odd side of the neighbourhood; may be larger than the map.
        slope: weight of the distances in the scores.

    Returns: (B, T, heads, D).
    """
    if qkv.is_cuda:
        # a prototype of torch that the CPU does not need, and that takes a second to import
        from tokenmix.models.attention import extended_flex

        return extended_flex.extended_attention(qkv, grid, kernel, slope)
    return _operator(qkv, grid, kernel, slope)[0]


def direction(head: Any, axes: int) -> tuple[Any, Any]:
    """Axis and sign (+1, -1) of a head's slope: +x, -x, +y, -y and again; x is the last axis of the map."""
    return axes - 1 - head // 2 % axes, 1 - 2 * (head % 2)


@functools.lru_cache(maxsize=64)
def bias(grid: tuple[int, ...], kernel: int, slope: float, heads: int, token: bool, dtype: torch.dtype) -> Tensor:
    """What to add to the scores: (1, heads or 1, T, T), -inf where the query does not see the key."""
    bias_1NN = dense.mask(grid, kernel, torch.float32)[None]
    if slope:
        places = torch.meshgrid(*(torch.arange(side) for side in grid), indexing="ij")
        slopes = []
        for head in range(heads):
            axis, sign = direction(head, len(grid))
            place_N = places[axis].flatten()
            slopes.append(slope * sign * (place_N[None] - place_N[:, None]))
        bias_1NN = bias_1NN + torch.stack(slopes)
    if token:
        bias_1NN = torch.nn.functional.pad(bias_1NN, (0, 1, 0, 1))
    return bias_1NN[None].to(dtype)


def _bias(qkv: Tensor, grid: Sequence[int], kernel: int, slope: float) -> Tensor:
    token = qkv.shape[1] > math.prod(grid)
    return bias(tuple(grid), kernel, slope, qkv.shape[-2], token, qkv.dtype)


@torch.library.custom_op("tokenmix::extended_attention", mutates_args=(), device_types="cpu")
def _operator(qkv: Tensor, grid: Sequence[int], kernel: int, slope: float) -> tuple[Tensor, Tensor]:
    """Output, and for the backward pass the log-sum-exp of the scores, (B, heads, T)."""
    return dense.attend(qkv, _bias(qkv, grid, kernel, slope))


@torch.library.custom_op("tokenmix::extended_attention_backward", mutates_args=(), device_types="cpu")
def _backward_operator(
    qkv: Tensor, out: Tensor, lse: Tensor, gradient: Tensor, grid: Sequence[int], kernel: int, slope: float
) -> Tensor:
    return dense.differentiate(qkv, out, lse, gradient, _bias(qkv, grid, kernel, slope))


@_operator.register_fake
def _(qkv: Tensor, grid: Sequence[int], kernel: int, slope: float) -> tuple[Tensor, Tensor]:
    batch, tokens, _, heads, depth = qkv.shape
    lse = qkv.new_empty(batch, heads, tokens, dtype=torch.promote_types(qkv.dtype, torch.float32))
    return qkv.new_empty(batch, tokens, heads, depth), lse


@_backward_operator.register_fake
def _(
    qkv: Tensor, out: Tensor, lse: Tensor, gradient: Tensor, grid: Sequence[int], kernel: int, slope: float
) -> Tensor:
    return qkv.new_empty(qkv.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    qkv, *ctx.settings = inputs
    ctx.save_for_backward(qkv, *output)


def _differentiate(ctx: Any, gradient: Tensor, _: Tensor | None) -> tuple[Tensor, None, None, None]:
    return _backward_operator(*ctx.saved_tensors, gradient, *ctx.settings), None, None, None


_operator.register_autograd(_differentiate, setup_context=_keep)
