"""Patch embedding without neighbourhoods: bilinear interpolation to the stage's grid and a 1x1 convolution.

The status report of Keuth et al. calls it "none": no norm, no activation, no bias. Together with `coordmlp` it is
their "coord-mlp", and `coordmlp` alone their "coord-mlp + conv".
"""

from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.models.metaformer import MetaFormer, PatchEmbedding


class Interpolation(nn.Conv2d):
    """Scales a map down to `grid`, then mixes its channels."""

    def __init__(self, channels: int, width: int, grid: tuple[int, ...]) -> None:
        super().__init__(channels, width, 1, bias=False)
        self.grid = grid

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return super().forward(F.interpolate(x_BCHW, size=self.grid, mode="bilinear", align_corners=False))


def extend(model: MetaFormer) -> None:
    """Replace every patch embedding; maps keep their sizes, and a position map behind it stays."""
    for stage, grid in enumerate(model.grids):
        place, number = model.embeddings, stage
        if isinstance(behind := place[number], nn.Sequential):
            place, number = behind, 0  # type: ignore[assignment]
        old = place[number]
        assert isinstance(old, PatchEmbedding)
        place[number] = Interpolation(old.in_channels, old.out_channels, grid)
