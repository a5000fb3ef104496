"""The block of MetaFormer (Yu et al., CVPR 2022, section 3.1) and its parts.

    x + drop(scale1 * mixer(norm1(x)))   then   x + drop(scale2 * mlp(norm2(x)))

Suffixes of tensor names: B images, C channels, H and W positions; volumes have one axis more.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.models.linear import Linear


class DropPath(nn.Module):
    """Stochastic depth: in training, a branch is zero for an image with chance `p`, else divided by 1 - p.

    It acts on the branch's scale, (C, 1, 1) -> (B, C, 1, 1), so that the branch is multiplied only once.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, scale_C11: Tensor, images: int) -> Tensor:
        if not self.training or self.p == 0:
            return scale_C11
        keep = 1 - self.p
        mask_B111 = scale_C11.new_empty(images, *[1] * scale_C11.ndim).bernoulli_(keep).div_(keep)
        return scale_C11 * mask_B111


class ChannelMLP(nn.Module):
    """Two linear layers over the channels of each position, four times wider inside, with GELU between."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.expand = Linear(dim, 4 * dim)
        self.contract = Linear(4 * dim, dim)
        for layer in (self.expand, self.contract):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BHWC = x_BCHW.movedim(1, -1)
        return self.contract(F.gelu(self.expand(x_BHWC))).movedim(-1, 1)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position of a map (B, C, ...), or of vectors (B, C)."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return super().forward(x_BCHW.movedim(1, -1)).movedim(-1, 1)


class PositionMap(nn.Module):
    """Adds a learned map, zero at the start."""

    def __init__(self, dim: int, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.map_CHW = nn.Parameter(torch.zeros(dim, *grid))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.map_CHW


class Block(nn.Module):
    """One MetaFormer block: a token mixer and a channel MLP, each a normed, scaled residual branch.

    `axes` is the number of axes of its maps: 2 for images, 3 for volumes.
    """

    def __init__(
        self,
        mixer: nn.Module,
        mlp: nn.Module,
        dim: int,
        *,
        norm: Callable[[int], nn.Module],
        layer_scale: float,
        drop_path: float,
        axes: int = 2,
    ) -> None:
        super().__init__()
        self.norm1 = norm(dim)
        self.mixer = mixer
        self.scale1 = nn.Parameter(torch.full((dim, *[1] * axes), layer_scale))
        self.norm2 = norm(dim)
        self.mlp = mlp
        self.scale2 = nn.Parameter(torch.full((dim, *[1] * axes), layer_scale))
        self.drop = DropPath(drop_path)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        images = x_BCHW.shape[0]
        x_BCHW = x_BCHW + self.drop(self.scale1, images) * self.mixer(self.norm1(x_BCHW))
        return x_BCHW + self.drop(self.scale2, images) * self.mlp(self.norm2(x_BCHW))


def mean_of_positions(x_BCHW: Tensor) -> Tensor:
    """The mean over all positions, (B, C)."""
    return x_BCHW.flatten(2).mean(-1)
