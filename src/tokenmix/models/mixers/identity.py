"""No mixing at all: tokens meet in the patch embeddings only."""

from torch import nn

from tokenmix.models.site import Site

TAKES_KERNEL = False


class Mixer(nn.Identity):
    """Passes the normed input on, so that the branch is x + scale * norm(x)."""

    def __init__(self, site: Site) -> None:
        super().__init__()
