"""CLS token: a global token (see `_token`), from which images are classified."""

from torch import Tensor

from tokenmix.models.extensions._token import add_token
from tokenmix.models.metaformer import MetaFormer


def extend(model: MetaFormer) -> None:
    """Add the token and classify from it."""
    add_token(model)
    model.pool = token


def token(x_BCT1: Tensor) -> Tensor:
    """The last of the tokens, (B, C)."""
    return x_BCT1[:, :, -1, 0]
