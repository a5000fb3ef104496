"""The extended form of the mixer `local_attn`: the same weights, with room for slopes and a global token."""

from collections.abc import Iterator

from torch import Tensor, nn

from tokenmix.models.attention.extended import extended_attention
from tokenmix.models.metaformer import MetaFormer
from tokenmix.models.mixers import local_attn


class Mixer(nn.Module):
    """Takes over the weights of a `local_attn.Mixer` on maps of size `grid`.

    The input is (B, C, H, W), or (B, C, N + 1, 1) with a global token behind the positions.
    """

    def __init__(self, plain: local_attn.Mixer, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.grid, self.heads, self.kernel = grid, plain.heads, plain.kernel
        self.slope = 0.0
        self.qkv, self.out = plain.qkv, plain.out

    def forward(self, x_BCHW: Tensor) -> Tensor:
        qkv = self.qkv(x_BCHW.flatten(2).transpose(1, 2)).unflatten(-1, (3, self.heads, -1))
        x_BTC = extended_attention(qkv, self.grid, self.kernel, self.slope).flatten(-2)
        return self.out(x_BTC).transpose(1, 2).unflatten(2, x_BCHW.shape[2:]) - x_BCHW


def extended_mixers(model: MetaFormer) -> Iterator[Mixer]:
    """Every local attention of the model, extended where it is not yet."""
    for stage, grid in zip(model.stages, model.grids, strict=True):
        for block in stage.children():
            if isinstance(block.mixer, local_attn.Mixer):
                block.mixer = Mixer(block.mixer, grid)
            if isinstance(block.mixer, Mixer):
                yield block.mixer
