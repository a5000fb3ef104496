"""Start a run from published weights, verified, with a record of where each tensor came from."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load
from torch import nn

from tokenmix.errors import UserError
from tokenmix.files import read_json, sha256_file


def start_from(weights: Path, model: nn.Module, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Overwrite the initial weights of `model`, in place, with the checkpoint that its run's spec names.

    weights: the converted checkpoint; its card lies beside it.
    Returns what `run.json` holds of it: checkpoint, SHA-256 of the published file, a row for every tensor.
    Raises UserError where the file is missing or is not what its card says, and for tensors that do not fit.
    """
    card = read_json(weights.with_suffix(".json"))
    if not weights.is_file() or sha256_file(weights) != card.get("converted_sha256"):
        raise UserError(
            f"{weights} is missing or not what its card says; delete it and its card, so that the checkpoint is "
            "fetched and converted again"
        )
    # by name, so that the loaders are part of the code of those runs alone that start from published weights
    loader = importlib.import_module("tokenmix.models.weights_start")
    rows = loader.start(model, spec["model"], load(weights.read_bytes()), spec["init"])
    return {"checkpoint": card["name"], "sha256": card["sha256"], "tensors": rows}
