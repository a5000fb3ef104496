"""MetaFormer: a residual network whose token mixer can be exchanged.

Yu et al., "MetaFormer is actually what you need for vision" (CVPR 2022), sections 3.1 and 3.2; `block` has its block.

Suffixes of tensor names: B images, C channels, H and W positions; D, the channels behind a layer. Maps keep the shape
(B, C, H, W) but lie in memory channels last, so that the channel MLP is a plain linear layer on the last axis of
contiguous data. Maps of volumes have a third axis in front of H, and all that stands here is the same for them.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.errors import UserError
from tokenmix.models.block import Block, ChannelMLP, ChannelNorm, PositionMap, mean_of_positions
from tokenmix.models.site import Site
from tokenmix.models.spatial import CHANNELS_LAST, Convolution
from tokenmix.study.grammar import ModelSpec
from tokenmix.study.mixers import mixer_module


@dataclass(frozen=True)
class Scale:
    """Widths and blocks of the four stages, and the stem: a convolution of kernel 7."""

    widths: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    stem_stride: int
    stem_padding: int


SCALES = {
    "s12": Scale((64, 128, 320, 512), (2, 2, 6, 2), stem_stride=4, stem_padding=2),
    # a quarter as wide; a stem of stride 2 with padding 3 halves even sizes: 28 pixels give 14, 7, 4, 2
    "xs": Scale((16, 32, 80, 128), (2, 2, 6, 2), stem_stride=2, stem_padding=3),
}


@dataclass(frozen=True)
class Options:
    """Options of all MetaFormer models; the defaults are those of PoolFormer where a study's differ (its `norm`).

    head_dim: channels of one attention head.
    drop_path: chance to skip a branch for an image in training, the same in every block.
    layer_scale: initial value of the scale of every branch.
    small_map_fallback: local attention becomes global on maps of 64 tokens or fewer.
    norm: `group` is GroupNorm with one group, `channel` normalises each position by itself, and
        `by_arrangement` is the published study's choice: group for [T,T,T,T], channel for hybrids.
    positions: where learned position maps stand: in the `mixer` (global attention in the first block of a
        stage), before `stage3` (where the pretrained hybrid has its one map), or `none`.
    pool_first: average the positions before the last norm, as timm's PoolFormer does (the study and the
        original authors' code norm first); for comparisons with timm.
    """

    head_dim: int = 16
    drop_path: float = 0.1
    layer_scale: float = 1e-5
    small_map_fallback: bool = False
    norm: str = "group"
    positions: str = "mixer"
    pool_first: bool = False


class PatchEmbedding(Convolution):
    """A strided convolution; where the output is a single position, the linear layer that it is there.

    The layer leaves out the part of the kernel that sees padding only: 5 of 9 weights for maps of 2 x 2,
    19 of 27 for maps of 2 x 2 x 2.
    """

    def forward(self, x_BCHW: Tensor) -> Tensor:
        pad, kernel, stride = int(self.padding[0]), self.kernel_size[0], self.stride[0]
        if max(x_BCHW.shape[2:]) + 2 * pad >= kernel + stride:
            return super().forward(x_BCHW)
        every, axes = slice(None), x_BCHW.ndim - 2
        x_BCHW = x_BCHW[(every, every) + axes * (slice(kernel - pad),)]
        weight_DCHW = self.weight[(every, every, *(slice(pad, pad + side) for side in x_BCHW.shape[2:]))]
        # channels last on both sides, as they lie in memory
        x, weight = (tensor.movedim(1, -1).flatten(1) for tensor in (x_BCHW, weight_DCHW))
        return F.linear(x, weight, self.bias)[(every, every) + axes * (None,)]


class MetaFormer(nn.Module):
    """Four stages of blocks, each on a map of half the side of the one before, then norm, average, linear.

    Args:
        mixers: per stage, the function that builds a token mixer for a `Site`.
        grid: size of the input images, (H, W), or of volumes, (D, H, W).

    Attributes: `widths` and `grids` of the stages; `pool`, from the normed map to the vector that is classified.
    """

    def __init__(
        self,
        scale: Scale,
        mixers: Sequence[Callable[[Site], nn.Module]],
        *,
        channels: int,
        classes: int,
        grid: tuple[int, ...],
        options: Options,
    ) -> None:
        super().__init__()
        norm = ChannelNorm if options.norm == "channel" else partial(nn.GroupNorm, 1)
        self.widths = scale.widths
        self.pool: Callable[[Tensor], Tensor] = mean_of_positions
        self.embeddings = nn.ModuleList()
        self.stages = nn.ModuleList()
        self.grids: list[tuple[int, ...]] = []
        width_before = channels
        for stage, (width, blocks) in enumerate(zip(scale.widths, scale.blocks, strict=True)):
            kernel, stride, padding = (3, 2, 1) if stage else (7, scale.stem_stride, scale.stem_padding)
            grid = tuple((side + 2 * padding - kernel) // stride + 1 for side in grid)
            if min(grid) < 1:
                raise UserError("images are too small for the stem; use at least 7 pixels a side")
            self.embeddings.append(PatchEmbedding(width_before, width, kernel, stride, padding, axes=len(grid)))
            layers = nn.Sequential()
            for block in range(blocks):
                site = Site(
                    width,
                    grid,
                    first=block == 0,
                    head_dim=options.head_dim,
                    small_map_fallback=options.small_map_fallback,
                    positions=options.positions == "mixer",
                )
                layers.append(
                    Block(
                        mixers[stage](site),
                        ChannelMLP(width),
                        width,
                        norm=norm,
                        layer_scale=options.layer_scale,
                        drop_path=options.drop_path,
                        axes=len(grid),
                    )
                )
            self.stages.append(layers)
            self.grids.append(grid)
            width_before = width
        # timm's last norm differs in its epsilon, too
        self.norm = norm(width_before, eps=1e-6 if options.pool_first else 1e-5)
        self.pool_first = options.pool_first
        self.head = nn.Linear(width_before, classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        if options.positions == "stage3":
            self.embeddings[2] = nn.Sequential(self.embeddings[2], PositionMap(self.widths[2], self.grids[2]))

    def features(self, x_BCHW: Tensor) -> Tensor:
        """The map of the last stage before the last norm, (B, C, H/32, W/32) for S12."""
        x_BCHW = x_BCHW.contiguous(memory_format=CHANNELS_LAST[x_BCHW.ndim])
        for embedding, stage in zip(self.embeddings, self.stages, strict=True):
            x_BCHW = stage(embedding(x_BCHW))
        return x_BCHW

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.features(x_BCHW)
        if self.pool_first:
            return self.head(self.norm(self.pool(x_BCHW)))
        return self.head(self.pool(self.norm(x_BCHW)))


def build(
    spec: ModelSpec, *, channels: int, classes: int, grid: tuple[int, ...], options: Mapping[str, Any]
) -> MetaFormer:
    """The MetaFormer that `spec` describes; raises UserError for an unknown option."""
    known = [field.name for field in fields(Options)]
    for unknown in sorted(set(options) - set(known)):
        raise UserError(f"unknown model option {unknown!r}; under `model:` in the config; known: {', '.join(known)}")
    # the grammar gives every MetaFormer these
    assert spec.scale is not None and spec.arrangement is not None and spec.mixer is not None
    makers: dict[str, Callable[[Site], nn.Module]] = (
        {"p": partial(_mixer_class("pooling"), kernel=3)} if "p" in spec.arrangement else {}
    )
    if "t" in spec.arrangement:
        mixer = _mixer_class(spec.mixer)
        makers["t"] = mixer if spec.kernel is None else partial(mixer, kernel=spec.kernel)
    chosen = Options(**options)
    if chosen.norm == "by_arrangement":
        chosen = replace(chosen, norm="channel" if "p" in spec.arrangement else "group")
    model = MetaFormer(
        SCALES[spec.scale],
        [makers[letter] for letter in spec.arrangement],
        channels=channels,
        classes=classes,
        grid=grid,
        options=chosen,
    )
    for extension in spec.extensions:
        importlib.import_module(f"tokenmix.models.extensions.{extension}").extend(model)
    return model


def _mixer_class(name: str) -> type[nn.Module]:
    return importlib.import_module(mixer_module(name)).Mixer
