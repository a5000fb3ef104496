"""A dense convolution from all channels to all channels."""

from torch import nn

from tokenmix.models.site import Site

TAKES_KERNEL = True


class Mixer(nn.Conv2d):
    """k x k convolution, zero padding, bias, PyTorch's default initialisation; no subtraction."""

    def __init__(self, site: Site, kernel: int) -> None:
        super().__init__(site.dim, site.dim, kernel, padding=kernel // 2)
