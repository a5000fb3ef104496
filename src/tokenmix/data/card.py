"""The data card: what a prepared folder holds, where it came from, and the figures that training needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tokenmix.data.arrays import PixelStatistics
from tokenmix.errors import UserError
from tokenmix.files import pretty_json, write_atomic

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Facts:
    """What is known of a data set before it is prepared (from its manifest entry)."""

    name: str
    size: int
    title: str
    task: str  # binary | multi-class | ordinal | multi-label
    classes: tuple[str, ...]
    channels: int
    dimensions: int  # 2 or 3
    splits: Mapping[str, int]  # cases of train, val, test
    licence: str
    doi: str | None = None
    hash: str = ""
    phantom: bool = False
    carve: Mapping[str, Any] | None = None  # {fraction, seed} where a validation split is taken from train
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one stored image: (H, W, C), or (D, H, W, C) for volumes."""
        return (self.size,) * self.dimensions + (self.channels,)


def check_labels(labels: np.ndarray, facts: Facts, where: str) -> np.ndarray:
    """Labels as they are stored: int64 `(N,)`, or uint8 `(N, L)` of zeros and ones for a multi-label task.

    Raises UserError where a label is no class, or the shape does not belong to the task.
    """
    count = len(facts.classes)
    expected = (len(labels), count) if facts.task == "multi-label" else (len(labels), 1)
    if labels.ndim == 1 and facts.task != "multi-label":
        labels = labels[:, None]
    if labels.shape != expected:
        raise UserError(
            f"labels of shape {labels.shape} where a {facts.task} task with {count} classes needs "
            f"{expected}; {where}; "
            "check that the file belongs to this data set"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"labels of type {labels.dtype} where whole numbers are needed; {where}; store them as integers"
        )
    highest = 1 if facts.task == "multi-label" else count - 1
    wrong = (labels < 0) | (labels > highest)
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        raise UserError(
            f"label {labels[wrong][0]} of case {row} is out of range 0..{highest} ({int(wrong.sum())} "
            "such labels); "
            f"{where}; mend the labels or the list of classes"
        )
    return labels.astype(np.uint8) if facts.task == "multi-label" else labels[:, 0].astype(np.int64)


def count_classes(labels: np.ndarray, facts: Facts) -> dict[str, int]:
    """Cases per class; in a multi-label task positive cases per label, so that one case may count twice."""
    if facts.task == "multi-label":
        numbers = labels.sum(axis=0, dtype=np.int64)
    else:
        numbers = np.bincount(labels, minlength=len(facts.classes))
    return {name: int(number) for name, number in zip(facts.classes, numbers, strict=True)}


def write_card(
    into: Path,
    facts: Facts,
    labels: Mapping[str, np.ndarray],
    statistics: PixelStatistics,
    *,
    carved: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    **more: Any,
) -> None:
    """Write `card.json`.

    `statistics` are those of the training split, `labels` the stored labels of each split.
    `notes` are plain sentences about what was changed while preparing, `more` further facts of the source.
    """
    mean, std = statistics.mean_std()
    card = {
        "name": facts.name,
        "size": facts.size,
        "title": facts.title,
        "task": facts.task,
        "classes": list(facts.classes),
        "channels": facts.channels,
        "dimensions": facts.dimensions,
        "n": {split: len(labels[split]) for split in SPLITS},
        "counts": {split: count_classes(labels[split], facts) for split in SPLITS},
        "mean": mean,
        "std": std,
        "licence": facts.licence,
        "doi": facts.doi,
        "source": {**facts.source, **more},
        "hash": facts.hash,
        "phantom": facts.phantom,
        "carved": dict(carved) if carved else None,
        "notes": list(notes),
    }
    write_atomic(into / "card.json", pretty_json(card))
