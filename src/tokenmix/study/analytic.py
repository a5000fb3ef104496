"""MACs of one mixer layer in closed form, after the definitions of the mixers: the check on the traced count.

N positions of a map with d channels, kernel k, P pairs of a position with a neighbour inside the map:

    conv            d^2 k^2 N             k^3 in volumes; padded cells are multiplied, too
    sep_conv        d k^2 N               likewise
    pooling         d P                   in volumes d (P_HW D + P_D H W): over planes, then over columns
    local_attn      4 d^2 N + 2 d P       four projections, scores, weighted values
      with a token  4 d^2 (N + 1) + 2 d (P + 2 N + 1)
    full_attn       4 d^2 N + 2 d N^2
    random(_learned)  d N^2
    fcvit           2 (2 d N + 3 d^2 / 8 + d k^2 N + 2 d h N)    h = max(d / 8, 16), the bottleneck
    identity        0

(The figure of Keuth et al., arXiv 2510.05971, counts local attention's value product over all N^2 pairs, and
pooling and depthwise convolution on one map of 64 x 64 for all stages; here every term follows the stage's
own map.)
"""

from collections.abc import Collection
from math import prod

from tokenmix.study.grammar import TOKENS


def pairs(grid: tuple[int, ...], kernel: int) -> int:
    """P: pairs of a position and a neighbour inside the map, for windows of `kernel` along each axis."""
    reaches = [min(kernel // 2, side - 1) for side in grid]
    return prod(side * (2 * reach + 1) - reach * (reach + 1) for side, reach in zip(grid, reaches, strict=True))


def mixer_macs(
    mixer: str, dim: int, grid: tuple[int, ...], kernel: int | None, extensions: Collection[str] = ()
) -> int | None:
    """MACs of one layer for one image; None for a mixer without a formula (a new one).

    Of the `extensions` of a model only a global token changes the mixer's count.
    """
    tokens = prod(grid)
    match mixer, kernel:
        case "conv", int():
            return dim**2 * kernel ** len(grid) * tokens
        case "sep_conv", int():
            return dim * kernel ** len(grid) * tokens
        case "pooling", int():
            if len(grid) == 2:
                return dim * pairs(grid, kernel)
            return dim * (grid[0] * pairs(grid[1:], kernel) + pairs(grid[:1], kernel) * prod(grid[1:]))
        case "local_attn", int() if set(TOKENS) & set(extensions):
            return 4 * dim**2 * (tokens + 1) + 2 * dim * (pairs(grid, kernel) + 2 * tokens + 1)
        case "local_attn", int():
            return 4 * dim**2 * tokens + 2 * dim * pairs(grid, kernel)
        case "full_attn", None:
            return 4 * dim**2 * tokens + 2 * dim * tokens**2
        case (("random" | "random_learned"), None):
            return dim * tokens**2
        case "fcvit", int():
            context = 2 * dim * tokens + 3 * dim * (dim // 8)
            return 2 * (context + dim * (kernel ** len(grid) + 2 * max(dim // 8, 16)) * tokens)
        case "identity", None:
            return 0
    return None
