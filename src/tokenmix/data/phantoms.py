"""Phantoms: images computed from a seed, so that the whole pipeline runs without a download.

Two families, each with four classes of equal size that no single pixel gives away:

- `phantom_tissue` (grey): noisy random textures whose correlation is longer along one of four directions, the
  class. Each image holds the very same grey values (ranks of a random field) and the texture is stationary:
  mean, contrast, histogram and position carry nothing.
- `phantom_organs` (colour): two organs apart from each other, and a vessel that means nothing. The class is
  their *relation*: side by side or one above the other, of the same stain or not. Each organ alone says
  little about the stains' agreement; the amounts of both stains, one of which is commoner, say much.
"""

from collections.abc import Callable

import numpy as np

#: pixels computed at once: 256 images of 28 pixels, few large ones; temporary arrays hold 8 bytes for each and channel
CHUNK_PIXELS = 256 * 28 * 28


def generate(family: str, labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Images uint8 `(N, size, size, C)` of the classes `labels` (int64 `(N,)`).

    The same arguments give the same bytes.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    draw = FAMILIES[family]
    chunk = max(1, CHUNK_PIXELS // size**2)
    parts = [draw(labels[start : start + chunk], size, rng) for start in range(0, len(labels), chunk)]
    return np.concatenate(parts)


def balanced_labels(count: int, classes: int, seed: int) -> np.ndarray:
    """`count` labels (int64), as evenly spread over the classes as can be, in random order."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return rng.permutation(np.arange(count, dtype=np.int64) % classes)


# --- tissue -------------------------------------------------------------------------------------------------

#: correlation lengths across and along a fibre as shares of the image's side; its direction's spread in radians
FIBRE_WIDTH, FIBRE_LENGTH = 0.038, 0.14
WANDER = 0.15
#: share of the variance that is uncorrelated noise
TISSUE_NOISE = 0.35


def tissue(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Textures `(N, size, size, 1)`; class: fibres run at 0, 45, 90 or 135 degrees."""
    n = len(labels)
    angle = np.pi / 4 * labels + rng.uniform(-WANDER, WANDER, n)
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    fy, fx = np.meshgrid(np.fft.fftfreq(size) * size, np.fft.rfftfreq(size) * size, indexing="ij")
    along, across = (fx * cos + fy * sin) * FIBRE_LENGTH, (fy * cos - fx * sin) * FIBRE_WIDTH
    # white noise through an elongated Gaussian filter, applied to its Fourier transform
    spectrum = np.fft.rfft2(rng.standard_normal((n, size, size)))
    smooth = np.fft.irfft2(spectrum * np.exp(-2 * np.pi**2 * (along**2 + across**2)), s=(size, size))
    smooth /= smooth.std(axis=(1, 2), keepdims=True)
    noise = rng.standard_normal((n, size, size))
    return _equal_histogram(np.sqrt(1 - TISSUE_NOISE) * smooth + np.sqrt(TISSUE_NOISE) * noise)[..., None]


def _equal_histogram(field: np.ndarray) -> np.ndarray:
    """Ranks of the values within each image, spread over 16..239 (uint8): every image has the same greys."""
    n, height, width = field.shape
    ranks = field.reshape(n, -1).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return (16 + (ranks * 224) // (height * width)).astype(np.uint8).reshape(n, height, width)


# --- organs -------------------------------------------------------------------------------------------------

#: radius of an organ, and the smallest and largest distance between the two, as shares of the image's side
RADIUS = (0.12, 0.15)
DISTANCE = (0.32, 0.45)
#: how far the line through both may turn from its axis, in radians
TURN = 0.5
#: the two stains, the background's brightness, the spread of a colour, and the noise of a pixel
STAINS = np.array([[215.0, 90.0, 100.0], [90.0, 110.0, 215.0]])
BACKGROUND, COLOUR_SPREAD, ORGAN_NOISE = 60.0, 6.0, 10.0
#: share of the commoner stain: at one half nothing but the agreement itself would lead a learner to look at stains
COMMON_STAIN = 0.7


def organs(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Scenes `(N, size, size, 3)`; class = 2 * (one above the other) + (stains differ)."""
    n = len(labels)
    yy, xx = (grid[None] for grid in np.mgrid[0:size, 0:size] / (size - 1))
    canvas = np.full((n, size, size, 3), BACKGROUND) + rng.normal(0, COLOUR_SPREAD, (n, 1, 1, 3))
    place, extent = rng.uniform(0, 1, (2, n)), rng.uniform(0.02, 0.045, n)
    grey = np.broadcast_to(rng.uniform(80, 130, (n, 1)), (n, 3))
    _paint(canvas, _distance(yy, xx, place) < extent[:, None, None], grey)
    first = (rng.random(n) >= COMMON_STAIN).astype(np.int64)
    for place, stain in zip(_pair_of_places(labels // 2, rng), (first, first ^ (labels % 2)), strict=True):
        inside = _distance(yy, xx, place) < rng.uniform(*RADIUS, n)[:, None, None]
        _paint(canvas, inside, STAINS[stain] + rng.normal(0, COLOUR_SPREAD, (n, 3)))
    canvas += rng.normal(0, ORGAN_NOISE, canvas.shape)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def _pair_of_places(upright: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Centres `(2, 2, N)` (organ, y/x, case): side by side, or one above the other, wholly inside the image.

    Which of the two is drawn first is random, so that neither side belongs to an organ.
    """
    n = len(upright)
    angle = np.pi / 2 * upright + np.pi * rng.integers(0, 2, n) + rng.uniform(-TURN, TURN, n)
    offset = rng.uniform(*DISTANCE, n) * np.stack([np.sin(angle), np.cos(angle)]) / 2
    room = np.maximum(0.5 - RADIUS[1] - np.abs(offset), 0)
    middle = 0.5 + rng.uniform(-1, 1, (2, n)) * room
    return np.stack([middle - offset, middle + offset])


def _distance(yy: np.ndarray, xx: np.ndarray, place: np.ndarray) -> np.ndarray:
    return np.hypot(yy - place[0][:, None, None], xx - place[1][:, None, None])


def _paint(canvas: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    np.copyto(canvas, colour[:, None, None, :], where=mask[..., None])


FAMILIES: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "phantom_tissue": tissue,
    "phantom_organs": organs,
}
