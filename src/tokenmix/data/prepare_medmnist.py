"""MedMNIST archives (one npz a size) as a prepared data set."""

import lzma
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from tokenmix.data.arrays import BLOCK_BYTES, ArrayFile, PixelStatistics
from tokenmix.data.card import SPLITS, Facts, check_labels, write_card
from tokenmix.errors import UserError

#: bytes of the largest number type; numpy refuses longer headers than this
WIDEST, LONGEST_HEADER = 16, 1 << 16


def prepare(source: Path | None, facts: Facts, into: Path) -> None:
    """Write arrays and card of the npz archive `source` into the folder `into`.

    The archive's members are read as streams, a block at a time. Raises UserError where the archive is
    damaged or does not hold what `facts` announces.
    """
    assert source is not None
    labels: dict[str, np.ndarray] = {}
    statistics = PixelStatistics(facts.channels)
    try:
        with zipfile.ZipFile(source) as archive:
            _check_members(archive, facts, source)
            for split in SPLITS:
                where = f"{split}_labels in {source}"
                labels[split] = check_labels(_read_small(archive, f"{split}_labels", source), facts, where)
                if len(labels[split]) != facts.splits[split]:
                    raise UserError(
                        f"{len(labels[split])} cases where {facts.name} has {facts.splits[split]}; {where}; "
                        "check that the file belongs to this data set"
                    )
                np.save(into / f"{split}_labels.npy", labels[split])
                _copy_images(archive, split, source, facts, into, statistics if split == "train" else None)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError) as error:
        # RuntimeError: encrypted, or packed in a way that zipfile does not know
        raise UserError(f"{source} is damaged ({error}); delete it so that it is fetched again") from error
    write_card(into, facts, labels, statistics)


def _check_members(archive: zipfile.ZipFile, facts: Facts, source: Path) -> None:
    """The six arrays are there, and none unpacks to more than its cases can need (zipfile reads no further)."""
    present = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
    values = {"images": math.prod(facts.image_shape), "labels": len(facts.classes)}
    largest = {
        f"{split}_{part}": WIDEST * facts.splits[split] * number + LONGEST_HEADER
        for split in SPLITS
        for part, number in values.items()
    }
    missing = [name for name in largest if name not in present]
    if missing:
        raise UserError(
            f"{source} lacks {', '.join(missing)} (it holds {', '.join(sorted(present)) or 'nothing'}); "
            "use a file with training, validation and test split in MedMNIST's layout"
        )
    for name, limit in largest.items():
        size = archive.getinfo(f"{name}.npy").file_size
        if size > limit:
            raise UserError(
                f"{name} in {source} would unpack to {size} bytes where {facts.name} needs {limit} at most; "
                "check that the file belongs to this data set and size"
            )


def _read_header(stream: IO[bytes], name: str, source: Path) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(stream)
    except Exception as error:  # numpy parses the header as Python, which fails in many ways
        raise ValueError(f"{name} has no header of an array: {error}") from error
    if dtype.hasobject or fortran_order:
        reason = "holds Python objects" if dtype.hasobject else "is stored in Fortran order"
        raise UserError(f"{name} in {source} {reason}; save it again as a plain C-ordered array")
    return shape, dtype


def _read_small(archive: zipfile.ZipFile, name: str, source: Path) -> np.ndarray:
    with archive.open(f"{name}.npy") as stream:
        shape, dtype = _read_header(stream, name, source)
        if not shape:
            raise UserError(f"{name} in {source} is a single number; check that the file belongs to this data set")
        return np.frombuffer(stream.read(), dtype=dtype).reshape(shape)


def _copy_images(
    archive: zipfile.ZipFile,
    split: str,
    source: Path,
    facts: Facts,
    into: Path,
    statistics: PixelStatistics | None,
) -> None:
    name = f"{split}_images"
    with archive.open(f"{name}.npy") as stream:
        shape, dtype = _read_header(stream, name, source)
        count = facts.splits[split]
        # grey images come without a channel axis
        allowed = [(count, *facts.image_shape)] + ([(count, *facts.image_shape[:-1])] if facts.channels == 1 else [])
        if tuple(shape) not in allowed:
            raise UserError(
                f"{name} in {source} has shape {tuple(shape)} where {facts.name} at size {facts.size} "
                f"needs {allowed[-1]}; "
                "check that the file belongs to this data set and size"
            )
        if dtype != np.uint8 and not np.issubdtype(dtype, np.floating):
            raise UserError(f"images of type {dtype} where uint8 is needed; {name} in {source}; convert them to 0..255")
        row_bytes = int(np.prod(facts.image_shape)) * dtype.itemsize
        rows = max(1, BLOCK_BYTES // row_bytes)
        with ArrayFile(into / f"{name}.npy", np.uint8, (count, *facts.image_shape)) as file:
            while file.rows < count:
                wanted = min(rows, count - file.rows)
                data = _read_exactly(stream, wanted * row_bytes)
                block = np.frombuffer(data, dtype=dtype).reshape(wanted, *facts.image_shape)
                block = _as_bytes(block, f"{name} in {source}", file.rows)
                file.append(block)
                if statistics is not None:
                    statistics.add(block)
        if stream.read(1):  # reading to the end also checks the member's checksum
            raise UserError(f"{name} in {source} is longer than its header says; delete it so that it is fetched again")


def _read_exactly(stream: IO[bytes], count: int) -> bytearray:
    data = bytearray(count)
    view, done = memoryview(data), 0
    while done < count:
        got = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError("it ends too early")
        done += got
    return data


def _as_bytes(block: np.ndarray, where: str, first: int) -> np.ndarray:
    """uint8 as it is; floating-point images in [0, 1] as 0..255."""
    if block.dtype == np.uint8:
        return block
    bad = ~np.isfinite(block).reshape(len(block), -1).all(axis=1)
    if bad.any():
        raise UserError(
            f"NaN or infinite pixels in image {first + int(bad.argmax())}; {where}; repair or remove such images"
        )
    if block.min() < 0 or block.max() > 1:
        raise UserError(
            f"pixels between {block.min():g} and {block.max():g}; {where}; scale floating-point images to [0, 1]"
        )
    return np.rint(block * 255).astype(np.uint8)
