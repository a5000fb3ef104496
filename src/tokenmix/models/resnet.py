"""ResNet18 of timm with a choice of kernel, the convolutional baseline (He et al., CVPR 2016)."""

import re
from collections.abc import Mapping
from typing import Any

import timm
from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.models.block import mean_of_positions
from tokenmix.models.spatial import Convolution, slide
from tokenmix.study.grammar import ModelSpec


def build(
    spec: ModelSpec, *, channels: int, classes: int, grid: tuple[int, ...], options: Mapping[str, Any]
) -> nn.Module:
    """ResNet18 whose basic blocks use `spec.kernel` in both convolutions; the stem stays as it is.

    `options` (of token mixers) play no role here, and of `grid` only the number of its axes. At kernel 3 this is
    timm's model, for volumes with the same kernels, strides, paddings and names of weights.
    """
    assert spec.kernel is not None  # the grammar demands it
    model = timm.create_model("resnet18", pretrained=False, in_chans=channels, num_classes=classes)
    axes = len(grid)
    for name, layer in [*model.named_modules()]:
        if isinstance(layer, nn.Conv2d):
            kernel = spec.kernel if re.search(r"\.conv\d$", name) else layer.kernel_size[0]
            if (kernel, axes) != (layer.kernel_size[0], 2):
                model.set_submodule(name, _convolution(layer, kernel, axes))
        elif isinstance(layer, nn.BatchNorm2d) and axes == 3:
            norm = nn.BatchNorm3d(layer.num_features)
            norm.load_state_dict(layer.state_dict())
            model.set_submodule(name, norm)
    if axes == 3:
        model.set_submodule("maxpool", _MaxPool(3, 2))
        model.set_submodule("global_pool", _Mean())
    return model


def _convolution(old: nn.Conv2d, kernel: int, axes: int) -> Convolution:
    """A convolution in place of `old`, with another kernel or for maps of other axes."""
    shape = old.in_channels, old.out_channels, kernel, old.stride[0], kernel // 2
    new = Convolution(*shape, axes=axes, bias=False)
    # timm's initialisation of its own convolutions
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    return new


class _MaxPool(nn.Module):
    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x_BCDHW: Tensor) -> Tensor:
        return slide(F.max_pool2d, x_BCDHW, self.kernel, self.stride)


class _Mean(nn.Module):
    def forward(self, x_BCDHW: Tensor) -> Tensor:
        return mean_of_positions(x_BCDHW)
