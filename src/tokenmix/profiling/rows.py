"""The three tables of the profile: models on their data sets, mixer layers, models against image size."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from tokenmix.errors import UserError
from tokenmix.models.build import build_model
from tokenmix.profiling.macs import Cost, count
from tokenmix.study.analytic import mixer_macs
from tokenmix.study.grammar import metaformer_name, parse_model
from tokenmix.study.mixers import mixers

Row = dict[str, Any]

MODEL_COLUMNS = ("model", "dataset", "size", "channels", "parameters", "macs", "skipped")
MIXER_COLUMNS = ("mixer", "kernel", "stage", "dim", "grid", "macs", "formula", "skipped")
SIZE_COLUMNS = ("model", "image_size", "macs", "skipped")

#: input of the comparison over image sizes: colour images and one output, so that the head plays no role
CHANNELS, OUTPUTS = 3, 1


def model_rows(index: Mapping[str, Any]) -> Iterator[Row]:
    """Parameters and MACs of each model on each data set it is trained on, with that data set's head."""
    cells = {(f"{run['dataset']}-{run['size']}", run["model"]) for run in index["runs"].values()}
    for dataset, entry in index["datasets"].items():
        for model in _models(index):
            if (dataset, model) in cells:
                shape = (entry["channels"], *[entry["size"]] * entry["dimensions"])
                cost = _cost(model, shape, entry["classes"], index)
                given = (model, dataset, entry["size"], entry["channels"], cost.parameters, cost.macs)
                yield _row(MODEL_COLUMNS, *given, _names(cost))


def mixer_rows(index: Mapping[str, Any]) -> Iterator[Row]:
    """MACs of one layer of each of the study's mixers in every stage of S12, with kernels from the config."""
    settings = index["profile"]
    specs = [parse_model(model) for model in _models(index)]
    takes_kernel = mixers()
    for mixer in dict.fromkeys(spec.mixer for spec in specs if spec.mixer is not None):
        for kernel in settings["mac_kernels"] if takes_kernel[mixer] else [None]:
            name = metaformer_name("s12", "tttt", mixer, kernel)
            with _explained(name):
                model = _build(name, (CHANNELS, *[settings["mac_image_size"]] * 2), OUTPUTS, index)
                for stage, blocks in enumerate(model.stages):
                    grid, dim = model.grids[stage], model.embeddings[stage].out_channels
                    cost = count(blocks[0].mixer, (dim, *grid))
                    formula = mixer_macs(mixer, dim, grid, kernel)
                    given = (mixer, kernel, stage + 1, dim, grid[0], cost.macs, formula)
                    yield _row(MIXER_COLUMNS, *given, _names(cost))


def size_rows(index: Mapping[str, Any]) -> Iterator[Row]:
    """MACs of each of the study's models on square colour images of the config's sizes."""
    for model in _models(index):
        for size in index["profile"]["image_sizes"]:
            cost = _cost(model, (CHANNELS, size, size), OUTPUTS, index)
            yield _row(SIZE_COLUMNS, model, size, cost.macs, _names(cost))


def _models(index: Mapping[str, Any]) -> list[str]:
    """The study's models in the order of its tables."""
    return list(dict.fromkeys(model for table in index["tables"].values() for model in table["models"]))


def _cost(name: str, shape: tuple[int, ...], classes: int, index: Mapping[str, Any]) -> Cost:
    with _explained(name):
        return count(_build(name, shape, classes, index), shape)


def _build(name: str, shape: tuple[int, ...], classes: int, index: Mapping[str, Any]) -> Any:
    """A model for images of `shape` (channels, side, ...) on the meta device: it has shapes and no memory."""
    with torch.device("meta"):
        return build_model(
            name,
            channels=shape[0],
            classes=classes,
            size=shape[1],
            dimensions=len(shape) - 1,
            options=index["model_options"],
        )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (NotImplementedError, RuntimeError, TypeError) as error:
        raise UserError(
            f"the multiply-adds of {name} cannot be counted: {str(error).strip().splitlines()[0]}; "
            "tokenmix profile; models are traced on torch's meta device, which knows shapes and no values: "
            "let the mixer's constructor and operators work there"
        ) from error


def _names(cost: Cost) -> str:
    return ";".join(cost.skipped)


def _row(columns: tuple[str, ...], *values: Any) -> Row:
    return dict(zip(columns, values, strict=True))
