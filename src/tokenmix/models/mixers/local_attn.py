"""Local self-attention: every token attends to its neighbourhood (Ramachandran et al., NeurIPS 2019)."""

from torch import Tensor, nn

from tokenmix.models.attention.op import local_attention
from tokenmix.models.site import Site

TAKES_KERNEL = True

#: maps of so many tokens or fewer become global under `small_map_fallback`, by their axes, as in the published study
SMALL_MAP_TOKENS = {2: 64, 3: 63}


class Mixer(nn.Module):
    """Attention over the valid part of the k x k (k x k x k) neighbourhood, minus the input.

    Query, key, value and output have a bias and PyTorch's default initialisation. Positions outside the map
    are masked: the softmax runs over the neighbours that exist.
    """

    def __init__(self, site: Site, kernel: int) -> None:
        super().__init__()
        self.heads = site.heads
        # a neighbourhood of 2 * side - 1 reaches the whole map from everywhere
        is_global = site.small_map_fallback and site.tokens <= SMALL_MAP_TOKENS[len(site.grid)]
        self.kernel = 2 * max(site.grid) - 1 if is_global else kernel
        self.qkv = nn.Linear(site.dim, 3 * site.dim)
        self.out = nn.Linear(site.dim, site.dim)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        # channels of the projection: query, key, value; then head; then position in the head
        qkv = self.qkv(x_BCHW.movedim(1, -1)).unflatten(-1, (3, self.heads, -1))
        x_BHWC = local_attention(qkv, self.kernel).flatten(-2)
        return self.out(x_BHWC).movedim(-1, 1) - x_BCHW
