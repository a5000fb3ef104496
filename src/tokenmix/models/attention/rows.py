"""Local attention on the CPU: exact, forward and backward, without the score matrix of the map.

A strip is one head of a few images. Their maps lie under each other in one flat buffer a channel ("plane"),
with empty rows and columns (in volumes, planes too) between them, as many as a neighbour may be away, so that the
neighbour at a given offset sits at the same distance ("tap") from *every* query: one vector instruction handles
one neighbour of sixteen queries. Positions of queries start at `margin`, a whole number of vectors, and taps count
from that far before the query, so that none is negative.

Three tricks keep the loops plain. Scores are in units of log 2: a weight is 2 ** score. The mask is one more
channel: 1 for queries; 0 for keys, -1e30 for empty places. The backward pass appends minus the largest score
to the queries and -delta to the gradients in the same way, so that a weight is 2 ** (q . k) / sum and a
score's gradient weight * (g . v), where delta = gradient . output (Dao et al., "FlashAttention", NeurIPS
2022, appendix B).

A strip writes its own outputs only, in a fixed order: results do not depend on the number of threads.

Numba looks at the date of this file alone to see whether its cache is stale: touch it after an edit of
`lanes`, `strips` or `transpose`.
"""

import functools
import math
import threading
from collections.abc import Callable, Sequence

import numpy as np

from tokenmix.models.attention.lanes import LANES, exp2, fma, load, mul, store, sub, zero
from tokenmix.models.attention.strips import (
    TAPS,
    Strip,
    allocate,
    dots,
    gather,
    kernel,
    mask,
    pack,
    softmax,
    unpack,
    zeros,
)

_LOG2_E = math.log2(math.e)
_ONE = np.float32(1)
#: places of the parts in `qkv`; not plain integers, for which Numba would compile `pack` and `unpack` three times
_QUERY, _KEY, _VALUE = np.int64(0), np.int64(1), np.int64(2)
#: aimed number of positions in a strip: enough to fill the vectors, few enough to stay in the caches
_STRIP = 128


@kernel
def _forward(qkv, strip, taps, here, buffers, first_job, last_job, out, saved):  # type: ignore[no-untyped-def]
    batch, lines, width, _, heads, depth = qkv.shape
    size = strip.size
    queries, keys, values, scores, sums, largest, inverses = buffers
    scale = np.float32(depth**-0.5 * _LOG2_E)
    for job in range(first_job, last_job):
        head, first = job % heads, job // heads * len(strip.lines)
        present = min(len(strip.lines), batch - first)
        pack(qkv, first, present, _QUERY, head, scale, queries, strip)
        pack(qkv, first, present, _KEY, head, _ONE, keys, strip)
        pack(qkv, first, present, _VALUE, head, _ONE, values, strip)
        dots(queries, keys, depth + 1, taps, scores, strip)
        softmax(scores, largest, inverses, strip)
        gather(scores, here, values, taps, depth, sums, strip)
        for at in range(0, depth * size, LANES):
            store(sums, at, mul(load(sums, at), load(inverses, at % size)))
        unpack(sums, _ONE, out, first, present, _QUERY, head, strip)
        for image in range(present):
            for y in range(lines):
                at = strip.lines[image, y]
                for x in range(width):
                    saved[0, first + image, head, y, x] = largest[at + x]
                    saved[1, first + image, head, y, x] = inverses[at + x]


@kernel
def _backward(  # type: ignore[no-untyped-def]
    qkv, out, saved, gradient, strip, taps, here, buffers, first_job, last_job, result
):
    batch, lines, width, _, heads, depth = qkv.shape
    length, size = strip.length, strip.size
    queries, keys, values, gradients, outputs, weights, changes, sums, inverses = buffers
    # where the plane of -delta is, and that of minus the largest score
    delta_plane, largest_plane = depth * length, (depth + 1) * length
    back = 2 * strip.margin - taps
    scale = np.float32(depth**-0.5)
    for job in range(first_job, last_job):
        head, first = job % heads, job // heads * len(strip.lines)
        present = min(len(strip.lines), batch - first)
        pack(qkv, first, present, _QUERY, head, np.float32(scale * _LOG2_E), queries, strip)
        pack(qkv, first, present, _KEY, head, _ONE, keys, strip)
        pack(qkv, first, present, _VALUE, head, _ONE, values, strip)
        pack(gradient, first, present, _QUERY, head, _ONE, gradients, strip)
        pack(out, first, present, _QUERY, head, _ONE, outputs, strip)
        for image in range(present):
            for y in range(lines):
                at = strip.margin + strip.lines[image, y]
                for x in range(width):
                    queries[largest_plane + at + x] = -saved[0, first + image, head, y, x]
                    inverses[at + x] = saved[1, first + image, head, y, x]
        for at in range(strip.margin, strip.margin + size, LANES):
            delta = zero()
            for d in range(depth):
                delta = fma(load(gradients, d * length + at), load(outputs, d * length + at), delta)
            store(gradients, delta_plane + at, sub(zero(), delta))
        dots(queries, keys, depth + 2, taps, weights, strip)
        dots(gradients, values, depth + 1, taps, changes, strip)
        for at in range(strip.margin, strip.margin + size, LANES):
            inverse_sum = load(inverses, at)
            for t in range(strip.taps):
                weight = mul(exp2(load(weights, t * length + at)), inverse_sum)
                store(weights, t * length + at, weight)
                store(changes, t * length + at, mul(weight, load(changes, t * length + at)))
        gather(changes, here, keys, taps, depth, sums, strip)
        unpack(sums, scale, result, first, present, _QUERY, head, strip)
        # a key gathers from the queries that see it: the same taps, backwards
        gather(changes, back, queries, back, depth, sums, strip)
        unpack(sums, np.float32(1 / _LOG2_E), result, first, present, _KEY, head, strip)
        gather(weights, back, gradients, back, depth, sums, strip)
        unpack(sums, _ONE, result, first, present, _VALUE, head, strip)


def forward(qkv: np.ndarray, reach: int, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Local attention of float32 tokens (B, H, W, 3, heads, D), or (B, depth, H, W, ...); D a multiple of 16.

    `reach` is how many positions away a neighbour may be along each axis. Returns the output (B, H, W, heads, D)
    and what the backward pass needs of the softmax, (2, B, heads, H, W): the largest score in units of log 2, and
    1 / sum of weights.
    """
    batch, *grid, _, heads, depth = qkv.shape
    qkv = _lines(qkv, 3)
    out = np.empty((*qkv.shape[:3], 1, heads, depth), np.float32)
    saved = np.empty((2, batch, heads, *qkv.shape[1:3]), np.float32)
    strip, taps, here, jobs = _plan(batch, grid, heads, reach)
    keys_mask = mask(strip, grid[-1])

    def work(first: int, last: int) -> None:
        buffers = (
            allocate(strip, depth, 1),  # queries
            allocate(strip, depth, keys_mask),  # keys
            allocate(strip, depth),  # values
            allocate(strip, taps.size),  # scores
            zeros(depth * strip.size),  # sums
            zeros(strip.size),  # largest scores
            zeros(strip.size),  # 1 / sums of weights
        )
        _forward(qkv, strip, taps, here, buffers, first, last, out, saved)

    _share(jobs, threads, work)
    return out.reshape(batch, *grid, heads, depth), saved.reshape(2, batch, heads, *grid)


def backward(
    qkv: np.ndarray, out: np.ndarray, saved: np.ndarray, gradient: np.ndarray, reach: int, threads: int
) -> np.ndarray:
    """The gradient of `qkv` from that of the output of `forward`."""
    batch, *grid, _, heads, depth = shape = qkv.shape
    qkv, out, gradient = _lines(qkv, 3), _lines(out, 1), _lines(gradient, 1)
    saved = saved.reshape(2, batch, heads, *qkv.shape[1:3])
    result = np.empty_like(qkv)
    strip, taps, here, jobs = _plan(batch, grid, heads, reach)
    keys_mask = mask(strip, grid[-1])

    def work(first: int, last: int) -> None:
        buffers = (
            allocate(strip, depth, 1, 0),  # queries, and minus their largest scores
            allocate(strip, depth, keys_mask, 1),  # keys
            allocate(strip, depth, 1),  # values
            allocate(strip, depth, 0),  # gradients of the output, and -delta
            allocate(strip, depth),  # outputs
            allocate(strip, taps.size),  # weights
            allocate(strip, taps.size),  # gradients of the scores
            zeros(depth * strip.size),  # sums
            allocate(strip, 1),  # 1 / sums of weights
        )
        _backward(qkv, out, saved, gradient, strip, taps, here, buffers, first, last, result)

    _share(jobs, threads, work)
    return result.reshape(shape)


def _lines(tokens: np.ndarray, parts: int) -> np.ndarray:
    """Tokens (B, ..., W, parts, heads, D), the one of a single part left out, as (B, lines, W, parts, heads, D)."""
    batch, *grid = tokens.shape[: -3 if parts > 1 else -2]
    return tokens.reshape(batch, -1, grid[-1], parts, *tokens.shape[-2:])


def _plan(batch: int, grid: Sequence[int], heads: int, reach: int) -> tuple[Strip, np.ndarray, np.ndarray, int]:
    """The strip, its taps (with zeros up to whole groups of `TAPS`), the query's own for each, the number of strips."""
    reaches = [min(reach, side - 1) for side in grid]
    spaced = [side + r for side, r in zip(grid, reaches, strict=True)]
    # from one position to the next along each axis, and from one image to the next
    *steps, image = [math.prod(spaced[axis:]) for axis in range(1, len(grid) + 1)] + [math.prod(spaced)]
    images = min(batch, max(1, _STRIP // image))
    lines = _sums(
        [np.arange(side) * step for side, step in zip((images, *grid[:-1]), (image, *steps[:-1]), strict=True)]
    )
    size = -(-(int(lines[-1]) + grid[-1]) // LANES) * LANES
    # queries start where a vector may
    least = sum(r * step for r, step in zip(reaches, steps, strict=True))
    margin = -(-least // LANES) * LANES
    offsets = _sums([np.arange(2 * r + 1) * step for r, step in zip(reaches, steps, strict=True)])
    taps = np.zeros(-(-offsets.size // TAPS) * TAPS, np.int64)
    taps[: offsets.size] = offsets + margin - least
    # the last vector of a line may reach beyond the last position
    strip = Strip(lines.reshape(images, -1), margin, size, size + 2 * margin + LANES, offsets.size)
    return strip, taps, np.full(strip.taps, margin), heads * -(-batch // images)


def _sums(axes: Sequence[np.ndarray]) -> np.ndarray:
    """All sums of one number from each axis, the last axis fastest."""
    return functools.reduce(np.add.outer, axes).ravel()


def _share(jobs: int, threads: int, work: Callable[[int, int], None]) -> None:
    """Do the jobs in equal parts on so many threads; with one thread, or one job, none is started."""
    threads = min(threads, jobs)
    bounds = [jobs * part // threads for part in range(threads + 1)]
    helpers = [threading.Thread(target=work, args=bounds[part : part + 2]) for part in range(1, threads)]
    for helper in helpers:
        helper.start()
    work(bounds[0], bounds[1])
    for helper in helpers:
        helper.join()
