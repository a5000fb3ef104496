"""Arrays written to disk one block at a time, so that preparing a data set needs no memory of its size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np

#: bytes of one block that is read, counted and written at once
BLOCK_BYTES = 8 << 20


class ArrayFile:
    """A `.npy` file of known shape and type, filled from the front block by block.

    Used as a context manager; leaving it normally checks that every row was written.
    """

    def __init__(self, path: Path, dtype: np.dtype | type, shape: Sequence[int]) -> None:
        self.path, self.dtype, self.shape = path, np.dtype(dtype), tuple(int(n) for n in shape)
        self.rows = 0
        self._file = path.open("wb")
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": self.shape,
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, block: np.ndarray) -> None:
        """Write the next rows, `(rows, *shape[1:])`."""
        if block.shape[1:] != self.shape[1:] or block.dtype != self.dtype:
            raise ValueError(
                f"{self.path}: rows of {block.dtype}{block.shape[1:]} do not fit {self.dtype}{self.shape[1:]}"
            )
        self._file.write(np.ascontiguousarray(block).data)
        self.rows += len(block)

    def __enter__(self) -> "ArrayFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None and self.rows != self.shape[0]:
            raise ValueError(f"{self.path}: {self.rows} rows written, {self.shape[0]} announced")


@dataclass
class PixelStatistics:
    """Mean and standard deviation per channel of uint8 images, from exact integer histograms.

    The result does not depend on the order or the size of the blocks.
    """

    channels: int
    histogram: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.histogram = np.zeros((self.channels, 256), dtype=np.int64)

    def add(self, images: np.ndarray) -> None:
        """Count uint8 images `(N, ..., C)`."""
        for channel in range(self.channels):
            flat = images[..., channel].reshape(-1)
            # bincount widens its input to 8 bytes a value: a few million at a time keep that small
            for start in range(0, len(flat), 1 << 21):
                self.histogram[channel] += np.bincount(flat[start : start + (1 << 21)], minlength=256)

    def mean_std(self) -> tuple[list[float], list[float]]:
        """Mean and population standard deviation per channel, in units of the interval [0, 1]."""
        means, deviations = [], []
        for counts in self.histogram.tolist():
            n = sum(counts)
            first = sum(value * count for value, count in enumerate(counts))
            second = sum(value * value * count for value, count in enumerate(counts))
            # whole numbers until the last step: exact on every machine
            means.append(first / (255 * n))
            deviations.append(((n * second - first * first) / (n * n * 255 * 255)) ** 0.5)
        return means, deviations
