"""Local attention as one operator, `tokenmix::local_attention`: exact, any odd kernel, any size of map.

Each position attends to the part of its k x k (in volumes k x k x k) neighbourhood that lies on the map
(Ramachandran et al., "Stand-alone self-attention in vision models", NeurIPS 2019; there with position embeddings).
Tokens are channels last: queries, keys and values (B, H, W, 3, heads, D), outputs (B, H, W, heads, D). Being one named
operator on the CPU, it is a single node for tracers, which count multiply-adds from its shape, and for torch.compile.
On a GPU it is compiled by itself.
"""

import math
from typing import Any

import torch
from torch import Tensor

from tokenmix.models.attention import dense


def local_attention(qkv: Tensor, kernel: int) -> Tensor:
    """softmax of (q . k) * D ** -0.5 over the neighbours, times v; differentiable.

    Args:
        qkv: (B, H, W, 3, heads, D), or (B, depth, H, W, 3, heads, D).
        kernel: odd side of the neighbourhood; may be larger than the map.

    Returns: (B, H, W, heads, D).
    """
    if qkv.is_cuda:
        # a prototype of torch that the CPU does not need: it has no backward pass there
        from tokenmix.models.attention import flex

        return flex.local_attention(qkv, kernel)
    return _operator(qkv, kernel)[0]


def prefers_rows(grid: tuple[int, ...], kernel: int, head_dim: int, dtype: torch.dtype) -> bool:
    """Whether `rows` or else `dense` does a map on the CPU; a function of the shape: runs are reproducible.

    Time grows with positions * taps in `rows` and with tokens ** 2 in `dense`, at 4.5 and 5 ns a head and
    image, to which `dense` adds about 100 ns a token (measured on maps from 2x2 to 56x56, kernels 3 to 15).
    `rows` handles float32 maps with heads of 16, 32, ... channels; half precision is computed in float32.
    """
    if head_dim % 16 or dtype == torch.float64:
        return False
    reach = [min(kernel // 2, side - 1) for side in grid]
    positions = math.prod(side + r for side, r in zip(grid, reach, strict=True))
    taps = math.prod(2 * r + 1 for r in reach)
    tokens = math.prod(grid)
    return positions * taps <= tokens * (tokens + 20)


def _on_rows(qkv: Tensor, kernel: int) -> bool:
    return prefers_rows(tuple(qkv.shape[1:-3]), kernel, qkv.shape[-1], qkv.dtype)


@torch.library.custom_op("tokenmix::local_attention", mutates_args=(), device_types="cpu")
def _operator(qkv: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    """Output, and what the backward pass needs of the softmax."""
    if not _on_rows(qkv, kernel):
        return dense.forward(qkv, kernel)
    # numba is imported by those who need it only
    from tokenmix.models.attention import rows

    out, saved = rows.forward(_array(qkv), kernel // 2, torch.get_num_threads())
    return torch.from_numpy(out).to(qkv.dtype), torch.from_numpy(saved)


@torch.library.custom_op("tokenmix::local_attention_backward", mutates_args=(), device_types="cpu")
def _backward_operator(qkv: Tensor, out: Tensor, saved: Tensor, gradient: Tensor, kernel: int) -> Tensor:
    if not _on_rows(qkv, kernel):
        return dense.backward(qkv, out, saved, gradient, kernel)
    from tokenmix.models.attention import rows

    qkv_array, out_array, saved_array, gradient_array = map(_array, (qkv, out, saved, gradient))
    result = rows.backward(qkv_array, out_array, saved_array, gradient_array, kernel // 2, torch.get_num_threads())
    return torch.from_numpy(result).to(qkv.dtype)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().to(torch.float32).contiguous().numpy()


@_operator.register_fake
def _(qkv: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    batch, *grid, _, heads, depth = qkv.shape
    out = qkv.new_empty(batch, *grid, heads, depth)
    if _on_rows(qkv, kernel):
        return out, qkv.new_empty(2, batch, heads, *grid, dtype=torch.float32)
    return out, qkv.new_empty(batch, heads, math.prod(grid), dtype=torch.promote_types(qkv.dtype, torch.float32))


@_backward_operator.register_fake
def _(qkv: Tensor, out: Tensor, saved: Tensor, gradient: Tensor, kernel: int) -> Tensor:
    return qkv.new_empty(qkv.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, int], output: tuple[Tensor, Tensor]) -> None:
    qkv, ctx.kernel = inputs
    ctx.save_for_backward(qkv, *output)


def _differentiate(ctx: Any, gradient: Tensor, _: Tensor | None) -> tuple[Tensor, None]:
    return _backward_operator(*ctx.saved_tensors, gradient, ctx.kernel), None


_operator.register_autograd(_differentiate, setup_context=_keep)
