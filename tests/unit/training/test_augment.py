"""The affine augmentation against scipy in float64."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from tokenmix.training.augment import random_affine, warp


def reference(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Warp one channel: output pixel -> position in [-1, 1], x first -> matrix -> input pixel, in float64."""
    sizes = np.array(image.shape, dtype=np.float64)
    d = image.ndim
    to_unit = np.eye(d + 1)
    to_unit[:d, :d], to_unit[:d, d] = np.diag(2 / sizes), 1 / sizes - 1
    flip = np.eye(d + 1)
    flip[:d, :d] = np.eye(d)[::-1]  # axes of an array run the other way round than x, y, z
    affine = np.eye(d + 1)
    affine[:d] = matrix
    whole = np.linalg.inv(to_unit) @ flip @ affine @ flip @ to_unit
    return ndimage.affine_transform(image, whole, order=1, mode="grid-constant", cval=0.0)


@pytest.mark.parametrize("shape", [(12, 9), (7, 6, 5)])
def test_warp_agrees_with_scipy(shape: tuple[int, ...]) -> None:
    chance = np.random.default_rng(1)
    images = chance.random((3, 2, *shape))
    d = len(shape)
    matrices = np.eye(d, d + 1) + 0.3 * chance.standard_normal((3, d, d + 1))
    warped = warp(torch.from_numpy(images), torch.from_numpy(matrices)).numpy()
    for n in range(3):
        for c in range(2):
            np.testing.assert_allclose(warped[n, c], reference(images[n, c], matrices[n]), atol=1e-10)


def test_no_noise_changes_nothing() -> None:
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(random_affine(x, 0.0, torch.Generator()), x)


def test_every_image_gets_its_own_matrix_of_the_given_spread() -> None:
    # the first row of a warped ramp x -> x + 2 tells the matrix: grey = a x + b y + c + 2 inside the image
    n, size = 3000, 9
    axis = (2 * torch.arange(size) + 1) / size - 1
    ramp = (axis + 2).expand(n, 1, size, size)
    warped = random_affine(ramp, 0.02, torch.Generator().manual_seed(3)).double()
    middle = size // 2
    c = warped[:, 0, middle, middle] - 2
    a = (warped[:, 0, middle, middle + 2] - warped[:, 0, middle, middle - 2]) / (4 * 2 / size) - 1
    b = (warped[:, 0, middle + 2, middle] - warped[:, 0, middle - 2, middle]) / (4 * 2 / size)
    for noise in (a, b, c):
        assert noise.std().item() == pytest.approx(0.02, rel=0.05)
        assert noise.mean().item() == pytest.approx(0, abs=0.002)


def test_the_generator_decides_the_noise() -> None:
    x = torch.rand(4, 1, 8, 8)
    one, two, other = (random_affine(x, 0.1, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
