"""Global register: a global token (see `_token`) that is only looked at; images are classified from the map."""

from torch import Tensor

from tokenmix.models.extensions._token import add_token
from tokenmix.models.metaformer import MetaFormer


def extend(model: MetaFormer) -> None:
    """Add the token; the mean over positions leaves it out."""
    add_token(model)
    model.pool = mean_of_positions


def mean_of_positions(x_BCT1: Tensor) -> Tensor:
    """The mean over all tokens but the last, (B, C)."""
    return x_BCT1[:, :, :-1, 0].mean(-1)
