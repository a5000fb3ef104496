"""FCViT (Ma et al., "A close look at spatial modeling: from attention to convolution", arXiv 2212.12552).

A network of MetaFormer's shape with a mixer of its own, overlapping patch embeddings with batch norm, and a
depthwise convolution inside the channel mixer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.models.block import Block, mean_of_positions
from tokenmix.models.mixers.fcvit import Mixer, initialise
from tokenmix.models.site import Site
from tokenmix.study.grammar import ModelSpec

KERNEL = 11
RATIOS = (8, 8, 4, 4)
LAYER_SCALE = 1e-5


@dataclass(frozen=True)
class Scale:
    """Blocks and widths of the four stages; chance of drop path in the last block, from 0 in the first."""

    blocks: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    drop_path: float


SCALES = {
    "tiny": Scale((3, 3, 5, 2), (32, 64, 160, 320), 0.1),
    "b12": Scale((2, 2, 6, 2), (64, 128, 320, 512), 0.1),
    "b24": Scale((4, 4, 12, 4), (64, 128, 320, 512), 0.1),
    "b48": Scale((8, 8, 24, 8), (64, 128, 320, 512), 0.2),
}


class ChannelMixer(nn.Module):
    """1x1 convolution to `ratio` times the width, depthwise 3x3 convolution, GELU, 1x1 convolution back."""

    def __init__(self, dim: int, ratio: int) -> None:
        super().__init__()
        inner = ratio * dim
        self.expand = nn.Conv2d(dim, inner, 1)
        self.depthwise = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.contract = nn.Conv2d(inner, dim, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.contract(F.gelu(self.depthwise(self.expand(x_BCHW))))


class FCViT(nn.Module):
    """Four stages on maps of a quarter to a thirty-second of the image's side, norm, mean, linear."""

    def __init__(self, scale: Scale, *, channels: int, classes: int, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.embeddings, self.stages = nn.ModuleList(), nn.ModuleList()
        self.grids: list[tuple[int, ...]] = []
        norm = partial(nn.GroupNorm, 1)
        width_before, block, last = channels, 0, sum(scale.blocks) - 1
        for stage, (blocks, width) in enumerate(zip(scale.blocks, scale.widths, strict=True)):
            kernel, stride = (3, 2) if stage else (7, 4)
            grid = tuple((side - 1) // stride + 1 for side in grid)
            embedding = nn.Conv2d(width_before, width, kernel, stride, kernel // 2)
            self.embeddings.append(nn.Sequential(embedding, nn.BatchNorm2d(width)))
            layers = nn.Sequential()
            for _ in range(blocks):
                drop_path = scale.drop_path * block / last
                mixer, mlp = Mixer(Site(width, grid), KERNEL), ChannelMixer(width, RATIOS[stage])
                layers.append(Block(mixer, mlp, width, norm=norm, layer_scale=LAYER_SCALE, drop_path=drop_path))
                block += 1
            self.stages.append(layers)
            self.grids.append(grid)
            width_before = width
        self.norm = norm(width_before)
        self.head = nn.Linear(width_before, classes)
        initialise(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        for embedding, stage in zip(self.embeddings, self.stages, strict=True):
            x_BCHW = stage(embedding(x_BCHW))
        return self.head(mean_of_positions(self.norm(x_BCHW)))


def build(spec: ModelSpec, *, channels: int, classes: int, grid: tuple[int, ...], options: Mapping[str, Any]) -> FCViT:
    """The FCViT that `spec` describes; `options` (of MetaFormers) play no role, its own are published."""
    assert spec.scale is not None  # the grammar demands it
    return FCViT(SCALES[spec.scale], channels=channels, classes=classes, grid=grid)
