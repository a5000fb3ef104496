"""Average pooling minus the input (Yu et al., CVPR 2022, section 3.2): no parameters."""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.models.site import Site
from tokenmix.models.spatial import slide

TAKES_KERNEL = True

_MEAN = partial(F.avg_pool2d, count_include_pad=False)


class Mixer(nn.Module):
    """Mean over the k x k (k x k x k) neighbourhood minus the input; positions outside the map are not counted."""

    def __init__(self, site: Site, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return slide(_MEAN, x_BCHW, self.kernel) - x_BCHW
