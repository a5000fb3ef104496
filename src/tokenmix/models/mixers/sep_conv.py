"""A depthwise convolution: each channel by itself, nothing pointwise behind it."""

from tokenmix.models.site import Site
from tokenmix.models.spatial import Convolution

TAKES_KERNEL = True


class Mixer(Convolution):
    """k x k (k x k x k) depthwise convolution, zero padding, bias, PyTorch's default initialisation."""

    def __init__(self, site: Site, kernel: int) -> None:
        axes = len(site.grid)
        super().__init__(site.dim, site.dim, kernel, padding=kernel // 2, axes=axes, groups=site.dim)
