"""Checkpoints on disk: foreign ones are read without running their code, and kept as safetensors."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from tokenmix.errors import UserError
from tokenmix.files import sha256_file, write_atomic


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint: safetensors, or a plain state dict written by `torch.save`.

    Raises UserError for a file that is missing or damaged, that holds code, or anything but named tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
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
    return state


def convert(source: Path, target: Path, sha256: str) -> None:
    """Write the checkpoint `source` as safetensors to `target`; names and values stay as they are.

    Raises UserError where the file does not have the expected SHA-256 (hex), and for what `read_weights` refuses.
    """
    if not source.is_file():
        raise UserError(f"{source}: the checkpoint is missing; fetch it first")
    if (found := sha256_file(source)) != sha256:
        raise UserError(f"{source}: its SHA-256 is {found}, not {sha256}; delete the file and fetch it again")
    state = {name: value.contiguous() for name, value in read_weights(source).items()}
    write_atomic(target, save(state, {"sha256": sha256}))
