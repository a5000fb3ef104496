"""The steps of local attention on one strip of planes; `rows` says what a strip is and puts them together.

All buffers are flat float32 arrays: planes one behind the other, `Strip.length` apart, or `Strip.size` apart
in `sums`, which has no margins.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from tokenmix.models.attention.lanes import LANES, add, exp2, fma, inverse, larger, load, store, sub, zero
from tokenmix.models.attention.transpose import planes_to_tokens, tokens_to_planes

_MASKED = np.float32(-1e30)
#: taps whose scores are summed side by side, to load each query once for all of them
TAPS = 5
#: channels that are summed side by side, to load each weight once for all of them
_CHANNELS = 8


class Strip(NamedTuple):
    """Where things are in the planes of a strip; all counts of float32 numbers."""

    #: where each line of the map, along its last axis, starts behind the margin: (images, lines of a map)
    lines: np.ndarray
    #: first query position; positions in whole vectors; length of a plane
    margin: int
    size: int
    length: int
    taps: int


def zeros(count: int) -> np.ndarray:
    """A buffer whose first number starts a cache line: vectors that lie across two lines take twice as long."""
    buffer = np.zeros(count + LANES, np.float32)
    start = -(buffer.ctypes.data // buffer.itemsize) % LANES
    return buffer[start : start + count]


def allocate(strip: Strip, depth: int, *appended: float | np.ndarray) -> np.ndarray:
    """A buffer of `depth` empty planes, and behind them one for each of `appended`, filled with it."""
    buffer = zeros((depth + len(appended)) * strip.length).reshape(-1, strip.length)
    for plane, content in zip(buffer[depth:], appended, strict=True):
        plane[:] = content
    return buffer.reshape(-1)


def mask(strip: Strip, width: int) -> np.ndarray:
    """The plane to append to keys: 0 where a query is, else what no softmax sees."""
    plane = np.full(strip.length, _MASKED)
    plane[strip.margin + np.add.outer(strip.lines, np.arange(width))] = 0
    return plane


def kernel(function: Callable, **options: bool) -> Any:
    """Compiled, to be called from Python."""
    compiled: Any = njit  # its types leave out two of these options
    options |= {"nogil": True, "no_cfunc_wrapper": True}
    try:
        return compiled(cache=True, error_model="numpy", **options)(function)
    except RuntimeError:  # neither this folder nor the user's can be written
        return compiled(error_model="numpy", **options)(function)


def step(function: Callable) -> Any:
    """Compiled, to be called by kernels alone: a way in from Python would take as long to compile."""
    return kernel(function, no_cpython_wrapper=True)


@step
def pack(tokens, first, present, part, head, factor, planes, strip):  # type: ignore[no-untyped-def]
    """Tokens (B, lines, W, parts, heads, D) of one part and head, times `factor`, into planes."""
    _, lines, width, parts, heads, depth = tokens.shape
    flat = tokens.reshape(-1)
    step = parts * heads * depth
    for image in range(present):
        for y in range(lines):
            source = ((first + image) * lines + y) * width * step + (part * heads + head) * depth
            target = strip.margin + strip.lines[image, y]
            # a line's last vector spills zeros into the lines behind, which are packed after it
            for x in range(0, width, LANES):
                for d in range(0, depth, LANES):
                    place = source + x * step + d
                    at = target + x + d * strip.length
                    tokens_to_planes(flat, place, step, width - x, factor, planes, at, strip.length)


@step
def unpack(planes, factor, tokens, first, present, part, head, strip):  # type: ignore[no-untyped-def]
    """The way back: planes without margins, times `factor`, into tokens."""
    _, lines, width, parts, heads, depth = tokens.shape
    flat = tokens.reshape(-1)
    step = parts * heads * depth
    for image in range(present):
        for y in range(lines):
            target = ((first + image) * lines + y) * width * step + (part * heads + head) * depth
            source = strip.lines[image, y]
            for x in range(0, width, LANES):
                for d in range(0, depth, LANES):
                    place = target + x * step + d
                    at = source + x + d * strip.size
                    planes_to_tokens(planes, at, strip.size, factor, flat, place, step, width - x)


@step
def dots(left, right, planes, taps, scores, strip):  # type: ignore[no-untyped-def]
    """scores[t, n] = sum over planes of left[n] * right[n + taps[t]]."""
    length = strip.length
    for first in range(0, taps.size, TAPS):
        tap0, tap1, tap2 = taps[first], taps[first + 1], taps[first + 2]
        tap3, tap4 = taps[first + 3], taps[first + 4]
        for n in range(0, strip.size, LANES):
            sum0, sum1, sum2, sum3, sum4 = zero(), zero(), zero(), zero(), zero()
            for plane in range(planes):
                at = plane * length + n
                x = load(left, at + strip.margin)
                sum0 = fma(x, load(right, at + tap0), sum0)
                sum1 = fma(x, load(right, at + tap1), sum1)
                sum2 = fma(x, load(right, at + tap2), sum2)
                sum3 = fma(x, load(right, at + tap3), sum3)
                sum4 = fma(x, load(right, at + tap4), sum4)
            at = first * length + strip.margin + n
            store(scores, at, sum0)
            store(scores, at + length, sum1)
            store(scores, at + 2 * length, sum2)
            store(scores, at + 3 * length, sum3)
            store(scores, at + 4 * length, sum4)


@step
def gather(weights, weight_taps, planes, plane_taps, depth, sums, strip):  # type: ignore[no-untyped-def]
    """sums[d, n] = sum over t of weights[t, n + weight_taps[t]] * planes[d, n + plane_taps[t]]."""
    length, size = strip.length, strip.size
    for d in range(0, depth, _CHANNELS):
        for n in range(0, size, LANES):
            sum0, sum1, sum2, sum3 = zero(), zero(), zero(), zero()
            sum4, sum5, sum6, sum7 = zero(), zero(), zero(), zero()
            for t in range(strip.taps):
                weight = load(weights, t * length + n + weight_taps[t])
                at = d * length + n + plane_taps[t]
                sum0 = fma(weight, load(planes, at), sum0)
                sum1 = fma(weight, load(planes, at + length), sum1)
                sum2 = fma(weight, load(planes, at + 2 * length), sum2)
                sum3 = fma(weight, load(planes, at + 3 * length), sum3)
                sum4 = fma(weight, load(planes, at + 4 * length), sum4)
                sum5 = fma(weight, load(planes, at + 5 * length), sum5)
                sum6 = fma(weight, load(planes, at + 6 * length), sum6)
                sum7 = fma(weight, load(planes, at + 7 * length), sum7)
            at = d * size + n
            store(sums, at, sum0)
            store(sums, at + size, sum1)
            store(sums, at + 2 * size, sum2)
            store(sums, at + 3 * size, sum3)
            store(sums, at + 4 * size, sum4)
            store(sums, at + 5 * size, sum5)
            store(sums, at + 6 * size, sum6)
            store(sums, at + 7 * size, sum7)


@step
def softmax(scores, largest, inverses, strip):  # type: ignore[no-untyped-def]
    """Scores into weights, not divided by their sum yet; keeps the largest score and 1 / that sum."""
    for n in range(0, strip.size, LANES):
        at = strip.margin + n
        top = load(scores, at)
        for t in range(1, strip.taps):
            top = larger(load(scores, t * strip.length + at), top)
        total = zero()
        for t in range(strip.taps):
            weight = exp2(sub(load(scores, t * strip.length + at), top))
            store(scores, t * strip.length + at, weight)
            total = add(total, weight)
        store(largest, n, top)
        store(inverses, n, inverse(total))
