"""The token mixer of FCViT: a weighted global context and depthwise convolutions (Ma et al., arXiv 2212.12552)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.models.site import Site

TAKES_KERNEL = True
HEADS = 8


class GlobalContext(nn.Module):
    """Adds one context vector to every token, weighted head by head by the token's likeness to the mean token.

    The likenesses are standardised over heads and positions of an image, then scaled and shifted by head.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight_h1N = nn.Parameter(torch.ones(HEADS, 1, 1))
        self.bias_h1N = nn.Parameter(torch.zeros(HEADS, 1, 1))
        self.compete = nn.Linear(dim, 2 * (dim // HEADS))
        self.expand = nn.Linear(dim // HEADS, dim)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BhdN = x_BCHW.flatten(2).unflatten(1, (HEADS, -1))
        mean_BC = x_BCHW.flatten(2).mean(2)
        likeness_Bh1N = mean_BC.unflatten(1, (HEADS, 1, -1)) @ x_BhdN * x_BhdN.shape[2] ** -0.5
        std, mean = torch.std_mean(likeness_Bh1N, (1, 2, 3), keepdim=True)
        likeness_Bh1N = (likeness_Bh1N - mean) / (std + 1e-5)
        likeness_Bh1N = likeness_Bh1N * self.weight_h1N + self.bias_h1N
        # of two candidates for each inner channel the larger one wins
        winner = self.compete(mean_BC).unflatten(1, (2, -1)).amax(1)
        context_Bhd1 = self.expand(winner).unflatten(1, (HEADS, -1, 1))
        return x_BCHW + (likeness_Bh1N * context_Bhd1).view(x_BCHW.shape)


class Bottleneck(nn.Sequential):
    """Two 1x1 convolutions with GELU between; an eighth as wide inside, at least 16."""

    def __init__(self, dim: int) -> None:
        inner = max(dim // 8, 16)
        super().__init__(nn.Conv2d(dim, inner, 1), nn.GELU(), nn.Conv2d(inner, dim, 1))


class Mixer(nn.Module):
    """Twice: global context, depthwise k x k convolution, bottleneck, GELU. The published kernel is 11."""

    def __init__(self, site: Site, kernel: int) -> None:
        super().__init__()
        self.contexts = nn.ModuleList(GlobalContext(site.dim) for _ in range(2))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(site.dim, site.dim, kernel, padding=kernel // 2, groups=site.dim) for _ in range(2)
        )
        self.bottlenecks = nn.ModuleList(Bottleneck(site.dim) for _ in range(2))
        initialise(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        for context, convolution, bottleneck in zip(self.contexts, self.convolutions, self.bottlenecks, strict=True):
            x_BCHW = F.gelu(bottleneck(convolution(context(x_BCHW))))
        return x_BCHW


def initialise(model: nn.Module) -> None:
    """FCViT's initial weights: linear layers std 0.02, convolutions sqrt(2 / fan out), biases zero."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            assert module.bias is not None
            nn.init.zeros_(module.bias)
