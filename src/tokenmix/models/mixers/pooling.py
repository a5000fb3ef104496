"""Average pooling minus the input (Yu et al., CVPR 2022, section 3.2): no parameters."""

from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.models.site import Site

TAKES_KERNEL = True


class Mixer(nn.Module):
    """Mean over the k x k neighbourhood minus the input; positions outside the map are not counted."""

    def __init__(self, site: Site, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x_BCHW: Tensor) -> Tensor:
        mean = F.avg_pool2d(x_BCHW, self.kernel, stride=1, padding=self.kernel // 2, count_include_pad=False)
        return mean - x_BCHW
