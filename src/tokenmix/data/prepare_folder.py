"""A folder of images (train/<class>/, val/<class>/ and perhaps test/<class>/) as a prepared data set."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL

from tokenmix.data.arrays import ArrayFile, PixelStatistics
from tokenmix.data.card import SPLITS, Facts, write_card
from tokenmix.data.decode import BrokenImage, square_pixels
from tokenmix.data.folder import find_images, folder_hash, split_cases
from tokenmix.errors import UserError


def prepare(source: Path | None, facts: Facts, into: Path) -> None:
    """Write arrays and card of the image folder `source` into the folder `into`.

    Images are padded to a square with zeros (or as `facts.source` says under `padding`), then resized (bilinear
    with antialiasing), to RGB or grey as `facts.channels` says. Without a test folder val becomes the test split,
    and the validation split is carved out of train (`facts.carve`). Where `facts.source` has a `sha256` of its
    own, the images must be those it was computed from. Raises UserError for broken images, empty classes and
    changed folders.
    """
    assert source is not None
    if not source.is_dir():
        raise UserError(f"{source} is no folder; put the images back there, or register the folder at its new place")
    found = find_images(source)
    if len(found.classes) != len(facts.classes):
        raise UserError(
            f"{len(found.classes)} class folders in {source} where {facts.name} has {len(facts.classes)}; "
            "complete the folder, or register it again"
        )
    cases = split_cases(found, facts.carve)
    numbers = {split: len(cases[split]) for split in SPLITS}
    if numbers != dict(facts.splits):
        raise UserError(
            f"{_counts(numbers)} images in {source} where {facts.name} has {_counts(dict(facts.splits))}; "
            "complete the folder, or register it again"
        )
    statistics = PixelStatistics(facts.channels)
    reader = _Reader(source, facts)
    labels = {split: np.array([label for _, label in cases[split]], dtype=np.int64) for split in SPLITS}
    for split in SPLITS:
        np.save(into / f"{split}_labels.npy", labels[split])
        with ArrayFile(into / f"{split}_images.npy", np.uint8, (numbers[split], *facts.image_shape)) as file:
            for path, _ in cases[split]:
                pixels = reader.read(path)[None]
                file.append(pixels)
                if split == "train":
                    statistics.add(pixels)
    reader.finish()
    carved = None if "test" in found.cases else {**(facts.carve or {}), "from": "train", "test": "val"}
    notes = reader.notes(found.skipped)
    write_card(
        into,
        facts,
        labels,
        statistics,
        carved=carved,
        notes=notes,
        folders=found.classes,
        pillow=PIL.__version__,
    )


def _counts(numbers: dict[str, int]) -> str:
    return " / ".join(str(numbers[split]) for split in SPLITS)


class _Reader:
    """Reads images, and keeps what is to be said about them at the end."""

    def __init__(self, root: Path, facts: Facts) -> None:
        self.root, self.facts = root, facts
        self.checksums: list[tuple[str, str]] = []
        self.broken: list[str] = []
        self.grey = 0

    def read(self, path: str) -> np.ndarray:
        """Pixels of one image; a broken one is remembered and stands as zeros until `finish`."""
        data = (self.root / path).read_bytes()
        self.checksums.append((path, hashlib.sha256(data).hexdigest()))
        try:
            padding = self.facts.source.get("padding", "square")
            pixels, grey = square_pixels(data, self.facts.size, self.facts.channels, padding)
        except BrokenImage as error:
            self.broken.append(f"{path}: {error}")
            return np.zeros(self.facts.image_shape, dtype=np.uint8)
        self.grey += grey
        return pixels

    def finish(self) -> None:
        """Raise UserError where an image was broken or the folder is not the one that was registered."""
        if self.broken:
            raise UserError(broken_message(self.broken, self.root))
        expected = self.facts.source.get("sha256")
        if expected and folder_hash(self.checksums) != expected and "url" not in self.facts.source:
            raise UserError(f"the images in {self.root} changed after they were registered; register the folder again")

    def notes(self, skipped: int) -> list[str]:
        notes = []
        if self.facts.channels == 3 and self.grey:
            notes.append(f"{self.grey} of {len(self.checksums)} images are grey and were converted to colour")
        if skipped:
            notes.append(f"{skipped} files that are no images were passed over")
        return notes


def broken_message(broken: Sequence[str], root: Path) -> str:
    """One message for all broken images of a folder."""
    shown = "; ".join(broken[:5]) + (f"; and {len(broken) - 5} more" if len(broken) > 5 else "")
    return f"{len(broken)} broken image(s) in {root}: {shown}; replace or remove them"
