"""A depthwise convolution: each channel by itself, nothing pointwise behind it."""

from torch import nn

from tokenmix.models.site import Site

TAKES_KERNEL = True


class Mixer(nn.Conv2d):
    """k x k depthwise convolution, zero padding, bias, PyTorch's default initialisation."""

    def __init__(self, site: Site, kernel: int) -> None:
        super().__init__(site.dim, site.dim, kernel, padding=kernel // 2, groups=site.dim)
