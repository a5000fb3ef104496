"""The layout of a folder of images: which files, of which class, in which split."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tokenmix.errors import UserError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class ImageFolder:
    """Images of a folder: `cases[split]` lists (path from the root with '/', number of the class), sorted.

    Its splits are those present: train and val, or train, val and test. `skipped` counts the files that are
    no images.
    """

    root: Path
    classes: tuple[str, ...]
    cases: Mapping[str, tuple[tuple[str, int], ...]]
    skipped: int


def find_images(root: Path) -> ImageFolder:
    """Read the layout `train/<class>/*`, `val/<class>/*` and perhaps `test/<class>/*`.

    Raises UserError where a split or a class is missing or a class is empty, naming all of them.
    """
    for split in ("train", "val"):
        if not (root / split).is_dir():
            raise UserError(
                f"no folder {split}/ in {root}; lay the images out as train/<class>/, val/<class>/ "
                "and, if there is one, "
                "test/<class>/"
            )
    splits = [split for split in ("train", "val", "test") if (root / split).is_dir()]
    classes = tuple(sorted({folder.name for split in splits for folder in _folders(root / split)}))
    unreadable = [name for name in classes if not name.isprintable()]
    if unreadable:
        raise UserError(
            f"{', '.join(map(repr, unreadable))} in {root} cannot name a class; "
            "rename these folders: UTF-8, no control characters"
        )
    if len(classes) < 2:
        raise UserError(f"{len(classes)} class folders in {root}/train; a classification needs two or more")
    cases: dict[str, tuple[tuple[str, int], ...]] = {}
    empty, skipped = [], 0
    for split in splits:
        found = []
        for number, name in enumerate(classes):
            files = [path for path in sorted((root / split / name).rglob("*")) if path.is_file()]
            images = [path for path in files if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
            skipped += len(files) - len(images)
            if not images:
                empty.append(f"{split}/{name}")
            found += [(path.relative_to(root).as_posix(), number) for path in images]
        cases[split] = tuple(found)
    if empty:
        raise UserError(
            f"no images in {', '.join(empty)} of {root}; add images ({', '.join(sorted(SUFFIXES))}) to each, "
            "or remove the class from all splits"
        )
    return ImageFolder(root, classes, cases, skipped)


def _folders(path: Path) -> list[Path]:
    return [folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(".")]


def folder_hash(files: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over (path from the root, SHA-256 of the file) of all images, in the order of the paths."""
    digest = hashlib.sha256()
    for path, checksum in sorted(files):
        # a file's name need not be UTF-8
        digest.update(f"{checksum}  ".encode() + path.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def split_cases(found: ImageFolder, carve: Mapping[str, float] | None) -> dict[str, list[tuple[str, int]]]:
    """Cases of train, val and test; without test/, val is the test split, and a new val leaves train.

    Raises UserError where a class has too few training images for that.
    """
    cases = {split: list(found.cases[split]) for split in found.cases}
    if "test" in cases:
        return cases
    if not carve:
        raise UserError(f"{found.root} has no test/ and no rule to carve a validation split; register the folder again")
    labels = np.array([label for _, label in cases["train"]])
    single = [name for number, name in enumerate(found.classes) if np.count_nonzero(labels == number) < 2]
    if single:
        raise UserError(
            f"a single training image of {', '.join(single)} in {found.root}/train, so that no validation split with "
            "every class can be carved out; add images, or a test/ folder so that val/ is used as it is"
        )
    chosen = carve_mask(labels, carve["fraction"], int(carve["seed"]))
    return {
        "train": [case for case, out in zip(cases["train"], chosen, strict=True) if not out],
        "val": [case for case, out in zip(cases["train"], chosen, strict=True) if out],
        "test": cases["val"],
    }


def carve_mask(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Which cases (bool `(N,)`) leave the training split: `round(fraction * N)` of them.

    Each class gives its share, rounded by largest remainder, but at least one case and never its last: it has two.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    classes, sizes = np.unique(labels, return_counts=True)
    shares = fraction * sizes
    take = np.floor(shares).astype(np.int64)
    rest = round(fraction * len(labels)) - int(take.sum())
    take[np.argsort(take - shares, kind="stable")[: max(rest, 0)]] += 1
    take = np.clip(take, 1, sizes - 1)
    mask = np.zeros(len(labels), dtype=bool)
    for name, count in zip(classes, take, strict=True):
        mask[rng.permutation(np.flatnonzero(labels == name))[:count]] = True
    return mask
