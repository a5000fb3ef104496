"""MACs of one forward pass of a whole model in closed form: what an estimate of a study's cost rests on.

Widths, blocks, kernels and strides repeat what `tokenmix.models` builds, of which nothing is imported here; a test
compares the sums with the traced counts of `tokenmix.profiling`. Left out is what comes behind the last stage.
"""

import functools

from tokenmix.study.analytic import mixer_macs
from tokenmix.study.coincide import DOWNSAMPLING, STEMS, sides
from tokenmix.study.grammar import TOKENS, ModelSpec, parse_model

#: widths and blocks of the stages, by the scale of a MetaFormer or FCViT
WIDTHS = {"xs": (16, 32, 80, 128), "tiny": (32, 64, 160, 320)} | dict.fromkeys(
    ("s12", "b12", "b24", "b48"), (64, 128, 320, 512)
)
BLOCKS = {"tiny": (3, 3, 5, 2), "b24": (4, 4, 12, 4), "b48": (8, 8, 24, 8)} | dict.fromkeys(
    ("s12", "xs", "b12"), (2, 2, 6, 2)
)
FCVIT_STEM = (7, 4, 3)
FCVIT_KERNEL = 11
FCVIT_RATIOS = (8, 8, 4, 4)
#: width inside a coordinate MLP
COORDINATES = 16
RESNET_WIDTHS = (64, 128, 256, 512)
RESNET_STEM = (7, 2, 3)


@functools.cache
def model_macs(name: str, size: int, dimensions: int, channels: int) -> int:
    """MACs of one image, or volume, of `size` pixels a side; those of a mixer without a formula are not among them."""
    spec = parse_model(name)
    match spec.family:
        case "resnet":
            return _resnet(spec, size, dimensions, channels)
        case "fcvit":
            return _fcvit(spec, size, channels)
    return _metaformer(spec, size, dimensions, channels)


@functools.cache
def has_formula(name: str) -> bool:
    """Whether the model's mixer is one that `analytic` knows, or it has none to exchange."""
    spec = parse_model(name)
    return spec.mixer is None or mixer_macs(spec.mixer, 1, (1, 1), spec.kernel) is not None


def _metaformer(spec: ModelSpec, size: int, dimensions: int, channels: int) -> int:
    assert spec.scale and spec.arrangement and spec.mixer  # the grammar gives every MetaFormer these
    token = bool({*TOKENS} & {*spec.extensions})
    layers = [STEMS[spec.scale], *[DOWNSAMPLING] * 3]
    total, before, side_before = 0, channels, size
    for stage, (width, blocks, side) in enumerate(
        zip(WIDTHS[spec.scale], BLOCKS[spec.scale], sides(size, layers), strict=True)
    ):
        grid, positions = (side,) * dimensions, side**dimensions
        named = spec.arrangement[stage] == "t"
        mixer, kernel, extensions = (spec.mixer, spec.kernel, spec.extensions) if named else ("pooling", 3, ())
        mixing = mixer_macs(mixer, width, grid, kernel, extensions) or 0
        total += blocks * (mixing + 8 * width**2 * (positions + token))
        if "bilinear" in spec.extensions:
            total += positions * before * (4 + width)
        else:
            total += positions * before * width * _cells(side_before, *layers[stage]) ** dimensions
        if "coordmlp" in spec.extensions:
            total += positions * COORDINATES * (dimensions + width)
        if token and stage:
            total += before * width
        before, side_before = width, side
    return total


def _cells(side: int, kernel: int, stride: int, padding: int) -> int:
    """Along a side, the cells of a patch embedding's kernel: where one position remains, those that see the map."""
    return kernel if side + 2 * padding >= kernel + stride else min(side, kernel - padding)


def _fcvit(spec: ModelSpec, size: int, channels: int) -> int:
    assert spec.scale  # the grammar gives every FCViT one
    layers = [FCVIT_STEM, *[DOWNSAMPLING] * 3]
    stages = zip(WIDTHS[spec.scale], BLOCKS[spec.scale], FCVIT_RATIOS, layers, sides(size, layers), strict=True)
    total, before = 0, channels
    for width, blocks, ratio, (kernel, _, _), side in stages:
        # its channel mixer has a depthwise convolution inside
        inner = ratio * width
        mixing = mixer_macs("fcvit", width, (side, side), FCVIT_KERNEL) or 0
        total += blocks * (mixing + side**2 * inner * (2 * width + 9)) + side**2 * before * width * kernel**2
        before = width
    return total


def _resnet(spec: ModelSpec, size: int, dimensions: int, channels: int) -> int:
    """Of ResNet18: the stem, then stages of two blocks with two convolutions each, pooled before the first."""
    assert spec.kernel  # the grammar gives every ResNet one
    stem, *stages = sides(size, (RESNET_STEM, *[DOWNSAMPLING] * 4))
    before = RESNET_WIDTHS[0]
    total = stem**dimensions * channels * before * RESNET_STEM[0] ** dimensions
    for width, side in zip(RESNET_WIDTHS, stages, strict=True):
        weights = spec.kernel**dimensions * (before * width + 3 * width**2)
        if before != width:  # the first block's shortcut, a convolution of kernel 1
            weights += before * width
        total += weights * side**dimensions
        before = width
    return total
