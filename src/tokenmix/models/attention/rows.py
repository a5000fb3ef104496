"""Local attention on the CPU: exact, forward and backward, without the score matrix of the map.

A strip is one head of a few images. Their maps lie under each other in one flat buffer a channel ("plane"),
with empty rows and columns between them, as many as a neighbour may be away, so that the neighbour at a given
offset sits at the same distance ("tap") from *every* query: one vector instruction handles one neighbour of
sixteen queries. Taps count from the first neighbour and are never negative; positions of queries start at
`margin`, the distance from there to the query itself.

Three tricks keep the loops plain. Scores are in units of log 2: a weight is 2 ** score. The mask is one more
channel: 1 for queries; 0 for keys, -1e30 for empty places. The backward pass appends minus the largest score
to the queries and -delta to the gradients in the same way, so that a weight is 2 ** (q . k) / sum and a
score's gradient weight * (g . v), where delta = gradient . output (Dao et al., "FlashAttention", NeurIPS
2022, appendix B).

A strip writes its own outputs only, in a fixed order: results do not depend on the number of threads.

Numba looks at the date of this file alone to see whether its cache is stale: touch it after an edit of
`lanes`, `strips` or `transpose`.
"""

import math
import threading
from collections.abc import Callable

import numpy as np

from tokenmix.models.attention.lanes import LANES, exp2, fma, load, mul, store, sub, zero
from tokenmix.models.attention.strips import (
    TAPS,
    Strip,
    dots,
    gather,
    jit,
    mask_keys,
    pack,
    softmax,
    unpack,
)

_LOG2_E = math.log2(math.e)
_ONE = np.float32(1)
#: places of the parts in `qkv`; not plain integers, for which Numba would compile `pack` and `unpack` three times
_QUERY, _KEY, _VALUE = np.int64(0), np.int64(1), np.int64(2)
#: aimed number of positions in a strip: enough to fill the vectors, few enough to stay in the caches
_STRIP = 128


@jit
def _forward(qkv, strip, taps, first_job, last_job, out, saved):  # type: ignore[no-untyped-def]
    batch, height, width, _, heads, depth = qkv.shape
    length, size = strip.length, strip.size
    queries = np.ones((depth + 1) * length, np.float32)
    queries[: depth * length] = 0
    keys = np.zeros((depth + 1) * length, np.float32)
    mask_keys(keys, depth * length, height, width, strip)
    values = np.zeros(depth * length, np.float32)
    scores = np.zeros(taps.size * length, np.float32)
    sums = np.zeros(depth * size, np.float32)
    largest, inverses = np.zeros(size, np.float32), np.zeros(size, np.float32)
    here = np.full(strip.taps, strip.margin)
    scale = np.float32(depth**-0.5 * _LOG2_E)
    for job in range(first_job, last_job):
        head, first = job % heads, job // heads * strip.images
        present = min(strip.images, batch - first)
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
            for y in range(height):
                at = (image * strip.rows + y) * strip.stride
                for x in range(width):
                    saved[0, first + image, head, y, x] = largest[at + x]
                    saved[1, first + image, head, y, x] = inverses[at + x]


@jit
def _backward(qkv, out, saved, gradient, strip, taps, first_job, last_job, result):  # type: ignore[no-untyped-def]
    batch, height, width, _, heads, depth = qkv.shape
    length, size = strip.length, strip.size
    # what is appended to a head's channels: the mask, and its counterpart for the largest score and delta
    mask, appended = depth * length, (depth + 1) * length
    queries = np.ones((depth + 2) * length, np.float32)
    queries[:mask], queries[appended:] = 0, 0
    keys = np.ones((depth + 2) * length, np.float32)
    keys[:appended] = 0
    mask_keys(keys, mask, height, width, strip)
    values = np.ones((depth + 1) * length, np.float32)
    values[:mask] = 0
    gradients = np.zeros((depth + 1) * length, np.float32)
    outputs = np.zeros(depth * length, np.float32)
    weights = np.zeros(taps.size * length, np.float32)
    changes = np.zeros(taps.size * length, np.float32)
    sums = np.zeros(depth * size, np.float32)
    inverses = np.zeros(length, np.float32)
    here = np.full(strip.taps, strip.margin)
    back = 2 * strip.margin - taps
    scale = np.float32(depth**-0.5)
    for job in range(first_job, last_job):
        head, first = job % heads, job // heads * strip.images
        present = min(strip.images, batch - first)
        pack(qkv, first, present, _QUERY, head, np.float32(scale * _LOG2_E), queries, strip)
        pack(qkv, first, present, _KEY, head, _ONE, keys, strip)
        pack(qkv, first, present, _VALUE, head, _ONE, values, strip)
        pack(gradient, first, present, _QUERY, head, _ONE, gradients, strip)
        pack(out, first, present, _QUERY, head, _ONE, outputs, strip)
        for image in range(present):
            for y in range(height):
                at = strip.margin + (image * strip.rows + y) * strip.stride
                for x in range(width):
                    queries[appended + at + x] = -saved[0, first + image, head, y, x]
                    inverses[at + x] = saved[1, first + image, head, y, x]
        for at in range(strip.margin, strip.margin + size, LANES):
            delta = zero()
            for d in range(depth):
                delta = fma(load(gradients, d * length + at), load(outputs, d * length + at), delta)
            store(gradients, mask + at, sub(zero(), delta))
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
    """Local attention of float32 tokens (B, H, W, 3, heads, D), D a multiple of 16.

    `reach` is how many rows and columns away a neighbour may be. Returns the output (B, H, W, heads, D) and
    what the backward pass needs of the softmax, (2, B, heads, H, W): the largest score in units of log 2, and
    1 / sum of weights.
    """
    batch, height, width, _, heads, depth = qkv.shape
    out = np.empty((batch, height, width, 1, heads, depth), np.float32)
    saved = np.empty((2, batch, heads, height, width), np.float32)
    strip, taps, jobs = _plan(qkv.shape, reach)
    _share(jobs, threads, lambda first, last: _forward(qkv, strip, taps, first, last, out, saved))
    return out[:, :, :, 0], saved


def backward(
    qkv: np.ndarray, out: np.ndarray, saved: np.ndarray, gradient: np.ndarray, reach: int, threads: int
) -> np.ndarray:
    """The gradient of `qkv` from that of the output of `forward`."""
    result = np.empty_like(qkv)
    strip, taps, jobs = _plan(qkv.shape, reach)
    out, gradient = out[:, :, :, None], gradient[:, :, :, None]
    _share(
        jobs,
        threads,
        lambda first, last: _backward(qkv, out, saved, gradient, strip, taps, first, last, result),
    )
    return result


def _plan(shape: tuple[int, ...], reach: int) -> tuple[Strip, np.ndarray, int]:
    """The strip, its taps (filled up with zeros to whole groups of `TAPS`), and the number of strips."""
    batch, height, width, _, heads, _ = shape
    dy, dx = min(reach, height - 1), min(reach, width - 1)
    stride, rows = width + dx, height + dy
    images = min(batch, max(1, _STRIP // (rows * stride)))
    last = ((images - 1) * rows + height - 1) * stride + width
    size = -(-last // LANES) * LANES
    margin = dy * stride + dx
    offsets = (np.arange(2 * dy + 1)[:, None] * stride + np.arange(2 * dx + 1)).ravel()
    taps = np.zeros(-(-offsets.size // TAPS) * TAPS, np.int64)
    taps[: offsets.size] = offsets
    # the last vector of a row may reach beyond the last position
    strip = Strip(images, stride, rows, margin, size, size + 2 * margin + LANES, offsets.size)
    return strip, taps, heads * -(-batch // images)


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
