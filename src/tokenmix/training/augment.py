"""Random affine augmentation on the device."""

import torch
import torch.nn.functional as F


def random_affine(x_BC: torch.Tensor, std: float, generator: torch.Generator) -> torch.Tensor:
    """Warp each image by its own matrix: identity plus Gaussian noise of `std` on all entries.

    x_BC: `(B, C, H, W)` or `(B, C, D, H, W)` before normalisation. The matrix maps output to input positions
    in [-1, 1] (pixel edges at the ends) and includes the translation; sampling is bilinear (trilinear), and
    what lies outside is zero (Keuth et al., arXiv 2510.05971, public code).
    """
    if std == 0:
        return x_BC
    dimensions = x_BC.ndim - 2
    noise = torch.randn(len(x_BC), dimensions, dimensions + 1, generator=generator, device=x_BC.device)
    return warp(x_BC, torch.eye(dimensions, dimensions + 1, device=x_BC.device) + std * noise)


def warp(x_BC: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Sample images at the positions that `matrix` `(B, D, D + 1)` gives for each output position."""
    grid = F.affine_grid(matrix, list(x_BC.shape), align_corners=False)
    return F.grid_sample(x_BC, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
