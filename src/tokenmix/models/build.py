"""From a model's name to a module.

Families and mixers are imported by name, so that a run reaches the files of its own model only: an edit
in another mixer's file leaves its code identity, and so its results, untouched.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from tokenmix.errors import UserError
from tokenmix.study.grammar import parse_model, volume_problem


def build_model(
    name: str,
    *,
    channels: int,
    classes: int,
    size: int | Sequence[int],
    dimensions: int = 2,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build the model that the grammar calls `name`, freshly initialised from torch's global random state.

    Args:
        name: for example `s12-tttt-conv7`, `xs-pptt-local_attn5`, `resnet18-k5`.
        channels: channels of the input images.
        classes: width of the last layer (logits).
        size: side of the square images (cubic volumes) in pixels, or one number for each axis: (height, width).
        dimensions: 2 for images, 3 for volumes.
        options: those of the `model` section of the config, see `metaformer.Options`.

    Returns: a module from images (B, channels, H, W), or volumes (B, channels, D, H, W), to logits (B, classes).
    Raises UserError for a name outside the grammar, for a model that has no form for volumes, and for options the
    model does not have.
    """
    spec = parse_model(name)
    if dimensions not in (2, 3):
        raise UserError(f"{name} cannot be built for {dimensions} dimensions; images have 2, volumes 3")
    if dimensions == 3 and (problem := volume_problem(name)):
        raise UserError(problem)
    grid = (size,) * dimensions if isinstance(size, int) else tuple(size)
    if len(grid) != dimensions or min(grid) < 1:
        raise UserError(f"image size {size} does not fit {name}; give one side or {dimensions}, each at least 1")
    family = importlib.import_module(f"tokenmix.models.{spec.family}")
    return family.build(spec, channels=channels, classes=classes, grid=grid, options=dict(options or {}))
