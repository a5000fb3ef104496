"""Prepared data as batches on the device."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tokenmix.errors import UserError
from tokenmix.files import read_json

SPLITS = ("train", "val", "test")
#: share of the device's free memory that one split may take
DEVICE_SHARE = 0.5


@dataclass(frozen=True)
class Prepared:
    """A prepared folder: its card and its arrays, mapped into memory.

    `images[split]` is uint8 `(N, H, W, C)` (volumes: `(N, D, H, W, C)`); `labels[split]` is int64 `(N,)`,
    or uint8 `(N, L)` for a multi-label task.
    """

    folder: Path
    card: Mapping[str, Any]
    images: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]


def open_prepared(folder: Path | str) -> Prepared:
    """Open what `tokenmix data prepare` made.

    Raises UserError where a part is missing or does not fit the card.
    """
    folder = Path(folder)
    if not (folder / "card.json").is_file():
        raise UserError(f"no prepared data in {folder} (card.json is missing); run `tokenmix data prepare` first")
    card = read_json(folder / "card.json")
    images = {split: _open_array(folder / f"{split}_images.npy") for split in SPLITS}
    labels = {split: _open_array(folder / f"{split}_labels.npy") for split in SPLITS}
    shape = (card["size"],) * card["dimensions"] + (card["channels"],)
    for split in SPLITS:
        n = card["n"][split]
        if images[split].shape != (n, *shape) or images[split].dtype != np.uint8 or len(labels[split]) != n:
            raise UserError(
                f"the {split} arrays in {folder} do not fit its card.json; delete the folder and prepare again"
            )
    return Prepared(folder, card, images, labels)


def _open_array(path: Path) -> np.ndarray:
    try:
        # copy-on-write: torch wants writable memory, and the file must stay as it is
        array = np.lib.format.open_memmap(path, mode="c")
        if not array.ndim:
            raise ValueError("it holds a single number")
        return array
    except Exception as error:  # numpy parses the header as Python, which fails in many ways
        raise UserError(f"{path} cannot be read ({error}); delete its folder and prepare the data again") from error


class DeviceSplit:
    """One split, kept on the device as uint8 when it fits there, else gathered on the host batch by batch."""

    def __init__(self, prepared: Prepared, split: str, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.labels = torch.from_numpy(prepared.labels[split]).to(self.device)
        self._images = torch.from_numpy(prepared.images[split])
        self.resident = self.device.type == "cpu" or self._fits()
        if self.resident:
            self._images = self._images.to(self.device)

    def __len__(self) -> int:
        return len(self._images)

    def _fits(self) -> bool:
        if self.device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self.device)
        return self._images.nbytes <= DEVICE_SHARE * free

    def batch(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cases `index` (int64 `(B,)`): float32 images `(B, C, H, W)` in [0, 1], and their labels.

        The images lie channels last in memory. Volumes come as `(B, C, D, H, W)`.
        """
        if self.resident:
            index = index.to(self.device, non_blocking=True)
            picked = self._images.index_select(0, index)
        else:
            host = self._images.index_select(0, index.cpu())
            picked = host.pin_memory().to(self.device, non_blocking=True)
            index = index.to(self.device, non_blocking=True)
        # the conversion keeps the strides, so that the result is channels last without another copy
        x_BCHW = picked.movedim(-1, 1).to(torch.float32).div_(255)
        return x_BCHW, self.labels.index_select(0, index)


def normalise(x_BCHW: torch.Tensor, card: Mapping[str, Any]) -> torch.Tensor:
    """Subtract the mean of the training split and divide by its standard deviation, per channel.

    A channel that never varies is only centred.
    """
    mean, std = _constants(tuple(card["mean"]), tuple(card["std"]), x_BCHW.ndim, x_BCHW.device)
    return (x_BCHW - mean) / std


@lru_cache(maxsize=32)
def _constants(
    mean: tuple[float, ...], std: tuple[float, ...], ndim: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    # kept on the device: a copy from the host in each step would stall it
    shape = (1, len(mean)) + (1,) * (ndim - 2)
    m = torch.tensor(mean, dtype=torch.float32, device=device).reshape(shape)
    s = torch.tensor([value or 1.0 for value in std], dtype=torch.float32, device=device).reshape(shape)
    return m, s
