"""Multiply-adds (MACs) and parameters of a module, counted on its trace; no image is computed.

fvcore walks the operators of a trace and silently counts nothing for those it does not know. Here each
operator is either counted, named below as deliberately not counted, or listed as skipped.

What counts, for one image:

- convolutions and matrix products: one per multiplication (padding included, as in the usual dense loops);
- attention: one per channel for each pair of query and key, once for the score and once for the value;
  local attention has the pairs that lie inside the map, which is fewer than N k^2 near the border;
  a global token adds its own pairs;
- pooling and means: one addition per value that enters a mean; bilinear interpolation: four a value.

Not counted: biases, element-wise arithmetic, activations, softmax, norms, comparisons, moving data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import (
    addmm_flop_jit,
    bmm_flop_jit,
    conv_flop_jit,
    einsum_flop_jit,
    get_shape,
    linear_flop_jit,
)
from torch import nn
from torch.overrides import TorchFunctionMode

from tokenmix.study.analytic import pairs

#: element-wise: at most a few operations per value, against hundreds in the products around them
ELEMENTWISE = (
    "add",
    "add_",
    "sub",
    "sub_",
    "rsub",
    "mul",
    "mul_",
    "div",
    "div_",
    "neg",
    "pow",
    "sqrt",
    "exp",
)
ACTIVATIONS = (
    "gelu",
    "relu",
    "relu_",
    "leaky_relu",
    "silu",
    "silu_",
    "sigmoid",
    "tanh",
    "softmax",
    "log_softmax",
    "softplus",
)
NORMS = ("group_norm", "layer_norm", "batch_norm", "instance_norm", "rms_norm", "std_mean")
#: comparisons and changes of shape that fvcore does not know by itself
MOVES = (
    "max_pool2d",
    "max_pool3d",
    "amax",
    "movedim",
    "unflatten",
    "expand_as",
    "clone",
    "alias",
    "new_ones",
    "ones_like",
)
NOT_COUNTED = tuple(f"aten::{name}" for name in (*ELEMENTWISE, *ACTIVATIONS, *NORMS, *MOVES))


@dataclass(frozen=True)
class Cost:
    """MACs of one image, trainable parameters, and the operators nothing is known of (none is hoped for)."""

    macs: int
    parameters: int
    skipped: tuple[str, ...]


class _RecordedConvolutions(TorchFunctionMode):
    """Lets convolutions be traced on the meta device, where only shapes exist.

    `torch.conv2d` itself is not recorded by the tracer, and the shape function of what it calls stumbles over
    traced sizes; the operator one level below is recorded and takes the same arguments.
    """

    _dimensions = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}  # noqa: RUF012

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self._dimensions:
            return self._convolution(self._dimensions[func], *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    @staticmethod
    def _convolution(
        dimensions: int,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> torch.Tensor:
        each = [[v] * dimensions if isinstance(v, int) else v for v in (stride, padding, dilation)]
        flags = (False, False, False, False)  # choices of the CUDA library, without meaning here
        return torch._convolution(x, weight, bias, *each, False, [0] * dimensions, groups, *flags)  # type: ignore[call-overload]


def count(module: nn.Module, shape: Sequence[int]) -> Cost:
    """Cost of `module` for one input of `shape` (channels, ...) without the batch dimension.

    The module must lie on the meta device (built under `torch.device("meta")`), so that maps of any size fit.
    """
    analysis = FlopCountAnalysis(module.eval(), torch.empty(1, *shape, device="meta"))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    # fvcore's own table holds rough estimates of norms, which would make the counts hard to compare
    analysis.clear_op_handles().set_op_handle(**dict.fromkeys(NOT_COUNTED), **COUNTED)
    with torch.no_grad(), _RecordedConvolutions():
        macs = analysis.total()
    parameters = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    return Cost(int(macs), parameters, tuple(sorted(analysis.unsupported_ops())))


def cells_under_windows(side: int, outputs: int, kernel: int, stride: int, padding: int) -> int:
    """Along one axis: how many cells of the map lie under the windows of all outputs, summed."""
    starts = [output * stride - padding for output in range(outputs)]
    return sum(min(start + kernel, side) - max(start, 0) for start in starts)


def _matmul(inputs: list[Any], outputs: list[Any]) -> int:
    # fvcore's own handle forgets the batch where only the second factor has one
    return prod(get_shape(outputs[0])) * get_shape(inputs[0])[-1]


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    query, key, value = (get_shape(tensor) for tensor in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _local_attention(inputs: list[Any], outputs: list[Any]) -> int:
    batch, *grid, _, heads, head_dim = get_shape(inputs[0])
    kernel = inputs[1].toIValue()
    pairs = prod(cells_under_windows(side, side, kernel, 1, kernel // 2) for side in grid)
    return 2 * batch * heads * head_dim * pairs


def _extended_attention(inputs: list[Any], outputs: list[Any]) -> int:
    batch, tokens, _, heads, head_dim = get_shape(inputs[0])
    grid, kernel = _numbers(inputs[1]), inputs[2].toIValue()
    near = pairs(tuple(grid), kernel)
    positions = prod(grid)
    # every position sees the token behind the map, and that sees all of them and itself
    with_token = near + 2 * positions + 1 if tokens > positions else near
    return 2 * batch * heads * head_dim * with_token


def _bilinear(inputs: list[Any], outputs: list[Any]) -> int:
    return 4 * prod(get_shape(outputs[0]))


def _average_pool(inputs: list[Any], outputs: list[Any]) -> int:
    sides, results = get_shape(inputs[0]), get_shape(outputs[0])
    kernel = _numbers(inputs[1])
    stride = _numbers(inputs[2]) or kernel
    settings = zip(kernel, stride, _numbers(inputs[3]), strict=True)
    rank = len(kernel)
    cells = prod(
        cells_under_windows(side, result, *setting)
        for side, result, setting in zip(sides[-rank:], results[-rank:], settings, strict=True)
    )
    return prod(sides[:-rank]) * cells


def _values_in(inputs: list[Any], outputs: list[Any]) -> int:
    return prod(get_shape(inputs[0]))


def _numbers(value: Any) -> list[int]:
    return [element.toIValue() for element in value.node().inputs()]


COUNTED = {
    "aten::_convolution": conv_flop_jit,
    "aten::linear": linear_flop_jit,
    "aten::addmm": addmm_flop_jit,
    "aten::bmm": bmm_flop_jit,
    "aten::einsum": einsum_flop_jit,
    "aten::mm": _matmul,
    "aten::matmul": _matmul,
    "aten::scaled_dot_product_attention": _attention,
    "tokenmix::local_attention": _local_attention,
    "tokenmix::extended_attention": _extended_attention,
    "aten::upsample_bilinear2d": _bilinear,
    "aten::avg_pool2d": _average_pool,
    "aten::avg_pool3d": _average_pool,
    "aten::adaptive_avg_pool2d": _values_in,
    "aten::adaptive_avg_pool3d": _values_in,
    "aten::mean": _values_in,
}
