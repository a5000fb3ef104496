"""Published weights on disk: fetched, verified, read without running their code, and kept as safetensors."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from tokenmix.data.fetch import Wanted, checksum, fetch_file
from tokenmix.errors import UserError
from tokenmix.files import pretty_json, read_json, sha256_file, write_atomic
from tokenmix.study.checkpoints import Checkpoint

#: a published checkpoint, and the tensors in it, may have this many bytes
LARGEST_CHECKPOINT = 2 << 30


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
    content = save({key: value.contiguous() for key, value in read_weights(source).items()})
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
        with path.open("rb") as file:
            is_zip = file.read(4) == b"PK\3\4"  # by which PyTorch knows it
        if is_zip:
            with zipfile.ZipFile(path) as archive:
                # torch.save stores what it packs as it is
                if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                    raise ValueError("it would unpack to more than its size")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); fetch the checkpoint again") from error
    except Exception as error:  # damaged files raise whatever the reader stumbles over
        raise UserError(
            f"{path}: is no checkpoint of tensors alone, or is damaged; code in checkpoints is never run: "
            "choose a plain state dict, or fetch the file again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) and isinstance(k, str) for k, v in state.items()):
        raise UserError(f"{path}: is no plain state dict of named tensors; choose a checkpoint that is one")
    # a tensor may repeat one number of the file, which takes no memory until it is written out
    if (total := sum(tensor.numel() * tensor.element_size() for tensor in state.values())) > LARGEST_CHECKPOINT:
        raise UserError(f"{path}: its tensors would take {total} bytes; {LARGEST_CHECKPOINT} are allowed")
    return state
