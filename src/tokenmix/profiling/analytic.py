"""MACs of one mixer layer in closed form, after the definitions of the mixers: the check on the traced count.

N positions of a map with d channels, kernel k, P pairs of a position with a neighbour inside the map:

    conv            d^2 k^2 N             padded cells are multiplied, too
    sep_conv        d k^2 N
    pooling         d P
    local_attn      4 d^2 N + 2 d P       four projections, scores, weighted values
    full_attn       4 d^2 N + 2 d N^2
    random(_learned)  d N^2
    identity        0

(The figure of Keuth et al., arXiv 2510.05971, counts local attention's value product over all N^2 pairs, and
pooling and depthwise convolution on one map of 64 x 64 for all stages; here every term follows the stage's
own map.)
"""

from math import prod


def pairs(grid: tuple[int, ...], kernel: int) -> int:
    """P: pairs of a position and a neighbour inside the map, for windows of `kernel` along each axis."""
    reaches = [min(kernel // 2, side - 1) for side in grid]
    return prod(side * (2 * reach + 1) - reach * (reach + 1) for side, reach in zip(grid, reaches, strict=True))


def mixer_macs(mixer: str, dim: int, grid: tuple[int, ...], kernel: int | None) -> int | None:
    """MACs of one layer for one image; None for a mixer without a formula (a new one)."""
    tokens = prod(grid)
    match mixer, kernel:
        case "conv", int():
            return dim**2 * kernel ** len(grid) * tokens
        case "sep_conv", int():
            return dim * kernel ** len(grid) * tokens
        case "pooling", int():
            return dim * pairs(grid, kernel)
        case "local_attn", int():
            return 4 * dim**2 * tokens + 2 * dim * pairs(grid, kernel)
        case "full_attn", None:
            return 4 * dim**2 * tokens + 2 * dim * tokens**2
        case (("random" | "random_learned"), None):
            return dim * tokens**2
        case "identity", None:
            return 0
    return None
