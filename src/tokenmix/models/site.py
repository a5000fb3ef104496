"""Where a token mixer sits: all that a mixer may know about its place when it is built."""

import math
from dataclasses import dataclass

from tokenmix.errors import UserError


@dataclass(frozen=True)
class Site:
    """The place of one token mixer in a model.

    `dim` is the number of channels C, `grid` the size of the map it works on, (H, W) or for volumes (D, H, W),
    `first` says whether it is in the first block of its stage. `head_dim` and `small_map_fallback` are the
    model's options; `positions` says whether a mixer that knows no order adds learned position maps.
    """

    dim: int
    grid: tuple[int, ...]
    first: bool = False
    head_dim: int = 16
    small_map_fallback: bool = False
    positions: bool = True

    @property
    def tokens(self) -> int:
        """Number of positions of the map."""
        return math.prod(self.grid)

    @property
    def heads(self) -> int:
        """Number of attention heads; raises UserError where `head_dim` does not divide `dim`."""
        if self.head_dim < 1 or self.dim % self.head_dim:
            raise UserError(
                f"head_dim {self.head_dim} does not divide the width {self.dim} of a stage; "
                "under `model:` in the config; choose a divisor of every width, 16 fits all scales"
            )
        return self.dim // self.head_dim
