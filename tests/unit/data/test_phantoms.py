"""Phantoms: repeatable, balanced, and silent for anything that looks at single pixels."""

from pathlib import Path

import numpy as np
import pytest
from factories import prepared_phantom, tree

from tokenmix.data.phantoms import FAMILIES, balanced_labels, generate

CLASSES = 4
#: what logistic regression may reach (the best mixers reach 0.85 and more; benchmarks/phantoms.py)
LINEAR_BOUND = 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_decides_every_byte(family: str) -> None:
    labels = balanced_labels(40, CLASSES, 0)
    images = generate(family, labels, 28, 1)
    assert images.dtype == np.uint8 and images.shape == (40, 28, 28, 1 if family == "phantom_tissue" else 3)
    assert np.array_equal(images, generate(family, labels, 28, 1))
    assert not np.array_equal(images, generate(family, labels, 28, 2))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [16, 28, 65])
def test_every_size_is_offered_and_classes_are_even(tmp_path: Path, family: str, size: int) -> None:
    out = prepared_phantom(tmp_path / "out", family=family, size=size)
    assert np.bincount(np.load(out / "train_labels.npy")).tolist() == [8] * CLASSES
    assert tree(out) == tree(prepared_phantom(tmp_path / "again", family=family, size=size))


def test_splits_and_families_share_no_image(tmp_path: Path) -> None:
    seen: set[bytes] = set()
    for family in FAMILIES:
        out = prepared_phantom(tmp_path / family, family=family)
        for split in ("train", "val", "test"):
            images = np.load(out / f"{split}_images.npy")
            own = {image.tobytes() for image in images}
            assert len(own) == len(images) and not own & seen
            seen |= own


def test_every_tissue_image_holds_the_same_grey_values() -> None:
    images = generate("phantom_tissue", balanced_labels(16, CLASSES, 0), 28, 1)
    histograms = [np.bincount(image.reshape(-1), minlength=256) for image in images]
    assert all(np.array_equal(histogram, histograms[0]) for histogram in histograms)


@pytest.mark.parametrize("family", FAMILIES)
def test_logistic_regression_on_pixels_learns_little(family: str) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    labels, test_labels = balanced_labels(1024, CLASSES, 0), balanced_labels(512, CLASSES, 20)
    images, test_images = generate(family, labels, 28, 1), generate(family, test_labels, 28, 21)
    model = linear.LogisticRegression(C=1e-3, max_iter=100)
    model.fit(images.reshape(1024, -1) / 127.5 - 1, labels)
    # balanced classes: accuracy is balanced accuracy; chance is 0.25
    assert model.score(test_images.reshape(512, -1) / 127.5 - 1, test_labels) < LINEAR_BOUND
