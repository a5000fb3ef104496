"""Phantoms as a prepared data set."""

from pathlib import Path

import numpy as np

from tokenmix.data.arrays import ArrayFile, PixelStatistics
from tokenmix.data.card import SPLITS, Facts, write_card
from tokenmix.data.phantoms import FAMILIES, balanced_labels, generate
from tokenmix.errors import UserError

SMALLEST_SIZE = 16


def prepare(source: Path | None, facts: Facts, into: Path) -> None:
    """Write arrays and card of the phantom family `facts.name` into the folder `into`; `source` is None."""
    if facts.size < SMALLEST_SIZE:
        raise UserError(f"{facts.name} at {facts.size} pixels shows nothing; choose {SMALLEST_SIZE} pixels or more")
    family = sorted(FAMILIES).index(facts.name)
    labels: dict[str, np.ndarray] = {}
    statistics = PixelStatistics(facts.channels)
    for position, split in enumerate(SPLITS):
        # families and splits draw from streams of their own: one may grow without changing the others
        seed = 1000 * family + 10 * position
        labels[split] = balanced_labels(facts.splits[split], len(facts.classes), seed)
        images = generate(facts.name, labels[split], facts.size, seed + 1)
        np.save(into / f"{split}_labels.npy", labels[split])
        with ArrayFile(into / f"{split}_images.npy", np.uint8, (len(images), *facts.image_shape)) as file:
            file.append(images)
        if split == "train":
            statistics.add(images)
    write_card(into, facts, labels, statistics)
