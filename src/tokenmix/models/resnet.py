"""ResNet18 of timm with a choice of kernel, the convolutional baseline (He et al., CVPR 2016)."""

from collections.abc import Mapping
from typing import Any

import timm
from timm.models.resnet import BasicBlock
from torch import nn

from tokenmix.study.grammar import ModelSpec


def build(
    spec: ModelSpec, *, channels: int, classes: int, grid: tuple[int, ...], options: Mapping[str, Any]
) -> nn.Module:
    """ResNet18 whose basic blocks use `spec.kernel` in both convolutions; the stem stays as it is.

    `grid` and `options` (of token mixers) play no role here. At kernel 3 this is timm's model.
    """
    assert spec.kernel is not None  # the grammar demands it
    model = timm.create_model("resnet18", pretrained=False, in_chans=channels, num_classes=classes)
    if spec.kernel != 3:
        for block in (module for module in model.modules() if isinstance(module, BasicBlock)):
            block.conv1 = _with_kernel(block.conv1, spec.kernel)
            block.conv2 = _with_kernel(block.conv2, spec.kernel)
    return model


def _with_kernel(old: nn.Conv2d, kernel: int) -> nn.Conv2d:
    stride = old.stride[0]
    new = nn.Conv2d(old.in_channels, old.out_channels, kernel, stride, kernel // 2, bias=False)
    # timm's initialisation of its own convolutions
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    return new
