"""Published weights on disk: fetched, verified, read without running their code, and kept as safetensors."""

import io
import pickletools
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from tokenmix.data.fetch import Wanted, checksum, fetch_file
from tokenmix.errors import UserError
from tokenmix.files import pretty_json, read_json, sha256_file, write_atomic
from tokenmix.study.checkpoints import Checkpoint

#: a published checkpoint, and the tensors in it, may have this many bytes
LARGEST_CHECKPOINT = 2 << 30
#: pickles at the head of a checkpoint in the older form of PyTorch: its mark, version, system, content, storages
PICKLES = 5


def prepare_weights(
    name: str,
    entry: Checkpoint,
    folder: Path,
    cache: Path,
    mirrors: Sequence[Path | str] = (),
    offline: bool = False,
) -> Path:
    """Fetch a checkpoint (cache and mirrors first) and write it as `<folder>/<name>.safetensors`, with a card.

    Where no checksum is published, the card of an earlier fetch says which file was used; another one is refused.
    Raises UserError where the file cannot be had, is not the one that is expected, or holds anything but tensors.
    """
    target, card = folder / f"{name}.safetensors", folder / f"{name}.json"
    before = read_json(card) if card.is_file() else {}
    expected = before["sha256"] if before.get("url") == entry.url else entry.sha256
    wanted = Wanted(
        entry.title,
        entry.url,
        entry.file,
        LARGEST_CHECKPOINT,
        lambda path: checksum(path, "sha256").startswith(expected),
        "sha256",
        f"SHA-256 {expected}" if expected else "none is published",
    )
    source = fetch_file(wanted, cache, mirrors, offline)
    weights = read_weights(source)
    try:
        # a clone: tensors that share their memory, as tied weights do, cannot be saved otherwise
        content = save({key: value.clone(memory_format=torch.contiguous_format) for key, value in weights.items()})
    except Exception as error:  # kinds of numbers that safetensors does not know
        raise UserError(f"{source}: holds tensors that cannot be kept ({error}); choose a plain state dict") from error
    write_atomic(target, content)
    facts = {
        "name": name,
        **entry.model_dump(exclude={"sha256"}),
        "sha256": sha256_file(source),
        "converted_sha256": sha256_file(target),
    }
    write_atomic(card, pretty_json(facts))
    return target


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint: safetensors, or a plain state dict written by `torch.save`.

    Raises UserError for a file that is missing or damaged, that holds code, or anything but named tensors, and for a
    small one that would fill memory.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _check_size(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); fetch the checkpoint again") from error
    except Exception as error:  # damaged files raise whatever the reader stumbles over
        raise UserError(
            f"{path}: is no checkpoint of tensors alone, or is damaged; code in checkpoints is never run: "
            "choose a plain state dict, or fetch the file again"
        ) from error
    if not isinstance(state, dict) or not all(_is_named_tensor(*item) for item in state.items()):
        raise UserError(f"{path}: is no plain state dict of named tensors; choose a checkpoint that is one")
    # a tensor may repeat one number of the file, which takes no memory until it is written out
    if (total := sum(tensor.numel() * tensor.element_size() for tensor in state.values())) > LARGEST_CHECKPOINT:
        raise UserError(f"{path}: its tensors would take {total} bytes; {LARGEST_CHECKPOINT} are allowed")
    return state


def _is_named_tensor(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided


def _check_size(path: Path) -> None:
    """Raise ValueError for a checkpoint of PyTorch whose reader would allocate what the file does not hold."""
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\3\4"  # by which PyTorch knows it
        if not is_zip:
            file.seek(0)
            for _ in range(PICKLES):
                _check_pickle(file)
            return
    with zipfile.ZipFile(path) as archive:
        # torch.save stores what it packs as it is
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise ValueError("it would unpack to more than its size")
        for name in archive.namelist():
            if name.endswith(".pkl"):
                _check_pickle(io.BytesIO(archive.read(name)))


def _check_pickle(file: IO[bytes]) -> None:
    """Raise ValueError where a pickle calls what makes something of any size out of a number."""
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in ("STACK_GLOBAL", "INST") or (opcode.name == "GLOBAL" and "bytearray" in str(argument)):
            raise ValueError(f"it calls {argument or opcode.name}")
