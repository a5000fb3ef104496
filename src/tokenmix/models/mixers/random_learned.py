"""A trained mixing of all tokens (Tay et al., "Synthesizer", ICML 2021, section 3.1, random)."""

import torch
from torch import Tensor, nn

from tokenmix.models.site import Site

TAKES_KERNEL = False


class Mixer(nn.Module):
    """Tokens times an N x N matrix that starts as the one of `random` and is trained.

    What is trained is the noise before the softmax: rows stay positive and sum to 1.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.logits_NM = nn.Parameter(torch.rand(site.tokens, site.tokens))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BMC = x_BCHW.flatten(2).transpose(1, 2)
        x_BNC = torch.matmul(self.logits_NM.softmax(-1), x_BMC)
        return x_BNC.transpose(1, 2).unflatten(2, x_BCHW.shape[2:])
