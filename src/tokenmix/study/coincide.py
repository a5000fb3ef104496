"""Where windows cover whole maps, and which models therefore compute the same function.

A 28 pixel image leaves S12 with maps of 7, 4, 2 and 1 positions a side. On the small ones a local
mixer sees everything, and kernels that differ in name only must not be ranked against each other.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tokenmix.study.grammar import FROM_SCRATCH, ModelSpec, parse_model
from tokenmix.study.options import norm_of, options_of

#: (kernel, stride, padding) of the embedding before each stage, as in `models/metaformer.py`
STEMS = {"s12": (7, 4, 2), "xs": (7, 2, 3)}
DOWNSAMPLING = (3, 2, 1)
#: mixers whose kernel only cuts out a window: beyond the map's edge it changes neither weights nor result
PURE_WINDOWS = {"pooling", "local_attn"}
#: with `small_map_fallback`, local attention is global on maps of so many positions or fewer, by their axes
SMALL_MAP = {2: 64, 3: 63}


def grids(scale: str, size: int) -> list[int]:
    """Positions along a side of the map of each stage, for square images or cubic volumes of `size` pixels."""
    return sides(size, (STEMS[scale], *[DOWNSAMPLING] * 3))


def sides(size: int, layers: Iterable[tuple[int, int, int]]) -> list[int]:
    """Positions along a side behind each layer of (kernel, stride, padding), one on the other, from `size` pixels."""
    found, side = [], size
    for kernel, stride, padding in layers:
        side = (side + 2 * padding - kernel) // stride + 1
        found.append(side)
    return found


def global_stages(model: str, size: int, options: Mapping[str, Any], dimensions: int = 2) -> list[int]:
    """Stages (from 1) where the named mixer has a window that covers the whole map from every position.

    `size` and `dimensions` are those of the images.
    """
    spec = parse_model(model)
    if spec.family != "metaformer" or spec.kernel is None:
        return []
    return [
        stage
        for stage, (letter, side) in enumerate(_stages(spec, size), start=1)
        if letter == "t" and _reach(spec.mixer, spec.kernel, side, options, dimensions) == side - 1
    ]


def coinciding(
    rows: Iterable[tuple[str, str]], size: int, settings: Mapping[str, Any], dimensions: int = 2
) -> list[list[tuple[str, str]]]:
    """Groups of two or more rows (model, initialisation) that start alike and compute the same function at this size.

    settings: the section `model` of the config.
    """
    groups: dict[tuple, list[tuple[str, str]]] = {}
    for model, init in dict.fromkeys(rows):
        spec = parse_model(model)
        if spec.family == "metaformer":
            start = init, None if init in FROM_SCRATCH else spec.checkpoint
            signature = _signature(spec, size, options_of(model, init, settings), dimensions)
            groups.setdefault((*start, *signature), []).append((model, init))
    return [group for group in groups.values() if len(group) > 1]


def _signature(spec: ModelSpec, size: int, options: Mapping[str, Any], dimensions: int) -> tuple:
    parts: list[Any] = [spec.scale, spec.extensions, norm_of(options["norm"], spec.arrangement)]
    for letter, side in _stages(spec, size):
        mixer, kernel = ("pooling", 3) if letter == "p" else (spec.mixer, spec.kernel)
        if kernel is not None and mixer in PURE_WINDOWS:
            kernel = _reach(mixer, kernel, side, options, dimensions)
        parts.append((mixer, kernel))
    return tuple(parts)


def _stages(spec: ModelSpec, size: int) -> list[tuple[str, int]]:
    return list(zip(spec.arrangement or "", grids(spec.scale or "", size), strict=True))


def _reach(mixer: str | None, kernel: int, side: int, options: Mapping[str, Any], dimensions: int) -> int:
    """How many positions away the window still sees, at most from one border of the map to the other."""
    small = side**dimensions <= SMALL_MAP[dimensions]
    if mixer == "local_attn" and options.get("small_map_fallback") and small:
        return side - 1
    return min(kernel // 2, side - 1)
