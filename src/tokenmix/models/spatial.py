"""Layers over maps of two axes (images) or three (volumes)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

#: by the number of axes of a batch (B, C, ...): the memory format in which channels lie last
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def lay_channels_last(model: nn.Module, axes: int) -> None:
    """Let the kernels of a model for maps of so many axes lie channels last; values and names stay.

    (`Module.to` asks it of every tensor of four dimensions, among which are a volume's position map and scales.)
    """
    for weight in model.parameters():
        if weight.ndim == axes + 2:
            weight.data = weight.data.to(memory_format=CHANNELS_LAST[weight.ndim])


class Convolution(_ConvNd):
    """`nn.Conv2d` or, for maps of three `axes`, `nn.Conv3d`, the same kernel along each axis."""

    def __init__(
        self,
        channels: int,
        width: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        *,
        axes: int = 2,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        each = [(number,) * axes for number in (kernel, stride, padding, 1, 0)]
        kernels, strides, paddings, dilations, output_paddings = each
        super().__init__(
            channels, width, kernels, strides, paddings, dilations, False, output_paddings, groups, bias, "zeros"
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        convolve = F.conv2d if len(self.kernel_size) == 2 else F.conv3d
        return convolve(x_BCHW, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def slide(window: Callable[[Tensor, tuple, tuple, tuple], Tensor], x: Tensor, kernel: int, stride: int = 1) -> Tensor:
    """Slide a window of images, of kernel x kernel cells and centred, over images (B, C, H, W) or volumes.

    In volumes it slides over the planes and then over the columns of its results: the same for means over the cells
    on the map and for maxima, at k^2 + k cells in place of k^3. (The windows of volumes that PyTorch has refuse kernels
    larger than the map, lose the memory format on the CPU and have no deterministic gradient on CUDA.)
    """
    pad = kernel // 2
    if x.ndim == 4:
        return window(x, (kernel, kernel), (stride, stride), (pad, pad))
    batch, _, depth, _, _ = x.shape
    planes = x.transpose(1, 2).flatten(0, 1)
    planes = window(planes, (kernel, kernel), (stride, stride), (pad, pad))
    sides = planes.shape[2:]
    columns = planes.unflatten(0, (batch, depth)).transpose(1, 2).flatten(3)
    return window(columns, (kernel, 1), (stride, 1), (pad, 0)).unflatten(3, sides)
