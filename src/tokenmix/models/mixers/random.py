"""A fixed random mixing of all tokens (Tay et al., "Synthesizer", ICML 2021, section 3.1, fixed random)."""

import torch
from torch import Tensor, nn

from tokenmix.models.site import Site

TAKES_KERNEL = False


class Mixer(nn.Module):
    """Tokens times a frozen N x N matrix, the same for every channel.

    Its rows are the softmax of uniform noise in [0, 1), so that each output is a weighted mean of all
    tokens. The matrix is drawn once per block and stored with the weights.
    """

    weights_NM: Tensor

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.register_buffer("weights_NM", torch.rand(site.tokens, site.tokens).softmax(-1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BMC = x_BCHW.flatten(2).transpose(1, 2)
        x_BNC = torch.matmul(self.weights_NM, x_BMC)
        return x_BNC.transpose(1, 2).unflatten(2, x_BCHW.shape[2:])
