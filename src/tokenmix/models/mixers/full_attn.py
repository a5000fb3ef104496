"""Global self-attention (Vaswani et al., 2017, section 3.2) with a learned position map."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.models.site import Site

TAKES_KERNEL = False


class Mixer(nn.Module):
    """Every token attends to every token of the map.

    Query, key and value without bias, output with bias, scores scaled by head_dim ** -0.5; the input is not
    subtracted. The first block of a stage adds a position map (C, H, W), zero at the start, to its input,
    where the site asks for position maps.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.heads = site.heads
        placed = site.first and site.positions
        self.position_CHW = nn.Parameter(torch.zeros(site.dim, *site.grid)) if placed else None
        self.qkv = nn.Linear(site.dim, 3 * site.dim, bias=False)
        self.out = nn.Linear(site.dim, site.dim)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if self.position_CHW is not None:
            x_BCHW = x_BCHW + self.position_CHW
        x_BNC = x_BCHW.flatten(2).transpose(1, 2)
        # (B, N, 3C) -> three of (B, heads, N, head_dim)
        q, k, v = self.qkv(x_BNC).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x_BNC = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.out(x_BNC).transpose(1, 2).unflatten(2, x_BCHW.shape[2:])
