"""Slopes: each head prefers the keys on one side of the query; no parameters.

Status report of Keuth et al.: a bias on the score from the distance of query and key, weighted by 0.1, separately
for x and y, along +-x and +-y by head. Read as ALiBi (Press et al., ICLR 2022) with signed distances, which is
what directs it.
"""

from tokenmix.models.extensions._attention import extended_mixers
from tokenmix.models.metaformer import MetaFormer

WEIGHT = 0.1


def extend(model: MetaFormer) -> None:
    """Let every local attention of the model lean."""
    for mixer in extended_mixers(model):
        mixer.slope = WEIGHT
