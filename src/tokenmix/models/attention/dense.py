"""Local attention as masked global attention: PyTorch's fused CPU kernel with a mask over all pairs.

Tokens are (B, H, W, 3, heads, D) for queries, keys, values and (B, H, W, heads, D) for outputs; N = H * W.
"""

import functools

import torch
from torch import Tensor

# the operators behind scaled_dot_product_attention on the CPU; called by name since the operator of `op` has
# to keep the log-sum-exp between forward and backward itself
_FORWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@functools.lru_cache(maxsize=64)
def mask(grid: tuple[int, ...], kernel: int, dtype: torch.dtype) -> Tensor:
    """What to add to the scores, (N, N): 0, but -inf where a coordinate differs by more than kernel // 2."""
    axes = torch.meshgrid(*(torch.arange(side) for side in grid), indexing="ij")
    place_NA = torch.stack(axes, -1).reshape(-1, len(grid))
    distance_NN = (place_NA[:, None] - place_NA[None]).abs().amax(-1)
    return torch.zeros(distance_NN.shape, dtype=dtype).masked_fill_(distance_NN > kernel // 2, -torch.inf)


def _parts(qkv: Tensor) -> tuple[Tensor, ...]:
    return qkv.flatten(1, -4).permute(2, 0, 3, 1, 4).unbind()


def forward(qkv: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    """Output, and for the backward pass the log-sum-exp of the scores, (B, heads, N)."""
    return attend(qkv, mask(tuple(qkv.shape[1:-3]), kernel, qkv.dtype))


def backward(qkv: Tensor, out: Tensor, lse: Tensor, gradient: Tensor, kernel: int) -> Tensor:
    """The gradient of `qkv` from that of the output of `forward`."""
    return differentiate(qkv, out, lse, gradient, mask(tuple(qkv.shape[1:-3]), kernel, qkv.dtype))


def attend(qkv: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """`forward` with any `bias` to the scores that can be expanded to (B, heads, N, N)."""
    out, lse = _FORWARD(*_parts(qkv), attn_mask=bias)
    return out.transpose(1, 2).reshape(qkv.shape[:-3] + qkv.shape[-2:]), lse.contiguous()


def differentiate(qkv: Tensor, out: Tensor, lse: Tensor, gradient: Tensor, bias: Tensor) -> Tensor:
    """The gradient of `qkv` from that of the output of `attend`."""
    gradient, out = (tokens.flatten(1, -3).transpose(1, 2) for tokens in (gradient, out))
    parts = _BACKWARD(gradient, *_parts(qkv), out, lse, 0.0, False, attn_mask=bias)
    # three of (B, heads, N, D) back to tokens
    return torch.stack(parts, 3).transpose(1, 2).transpose(2, 3).reshape(qkv.shape)
