"""A dense convolution from all channels to all channels."""

from tokenmix.models.site import Site
from tokenmix.models.spatial import Convolution

TAKES_KERNEL = True


class Mixer(Convolution):
    """k x k (k x k x k) convolution, zero padding, bias, PyTorch's default initialisation; no subtraction."""

    def __init__(self, site: Site, kernel: int) -> None:
        super().__init__(site.dim, site.dim, kernel, padding=kernel // 2, axes=len(site.grid))
