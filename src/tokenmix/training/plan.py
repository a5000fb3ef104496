"""The frozen plan of one run, and the checks that the job runs the code and the data which it names."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import read_json

#: how often resumable state is written, in seconds, unless TOKENMIX_CHECKPOINT_SECONDS says otherwise
CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Protocol:
    """How one run is trained: the fields of `training` in config.yaml, after a rung's overrides."""

    iterations: int
    batch_size: int
    lr: float
    weight_decay: float
    warmup_epochs: int
    warmup_lr: float
    min_lr: float
    label_smoothing: float
    class_weights: str
    affine_std: float
    precision: str
    threads: int
    selection: str
    accumulation: int = 1
    compile: bool = False
    channels_last: bool = True
    validations: int = 100
    selection_split: str = "val"
    drop_last_validation: bool = False
    schedule_lag: bool = False

    def iterations_per_epoch(self, images: int) -> int:
        """Optimiser steps in one pass; incomplete batches are dropped, and a tiny set is one step."""
        return max(1, images // (self.batch_size * self.accumulation))

    def epochs(self, images: int) -> int:
        """Whole passes that reach `iterations`."""
        return math.ceil(self.iterations / self.iterations_per_epoch(images))

    def selection_cases(self, cases: int) -> int:
        """How many cases of a split pick the checkpoint; all of a split that is smaller than a batch."""
        whole = cases // self.batch_size * self.batch_size
        return whole if self.drop_last_validation and whole else cases


@dataclass(frozen=True)
class TrainingPlan:
    """One run as `tokenmix.study` froze it. `protocols` and `marks` have one entry per rung of the ladder."""

    run: str
    content: Mapping[str, Any]
    protocols: tuple[Protocol, ...]
    marks: tuple[str, ...]
    results: Path
    root: Path

    @property
    def spec(self) -> Mapping[str, Any]:
        """Data set, size, model, initialisation, seed, protocol and model options."""
        return self.content["spec"]

    @property
    def data_folder(self) -> Path:
        """Where the prepared data of this run lie."""
        return self.root / self.content["data"]["folder"]

    @property
    def weights(self) -> Path | None:
        """The published weights that this run starts from, converted; None for a start from scratch."""
        file = self.content.get("weights", {}).get("file")
        return self.root / file if file else None

    @property
    def code_folder(self) -> Path:
        """Where the frozen code of this run lies."""
        return self.root / self.content["code"]["folder"]


def read_plan(path: Path) -> TrainingPlan:
    """Read `<results>/plan/<run>.json`; raises UserError where it is missing or no plan of this version."""
    path = Path(path).absolute()
    content = read_json(path)
    try:
        spec, rungs = content["spec"], content["rungs"]
        protocols = tuple(
            _protocol({**spec["training"], **{k: v for k, v in rung.items() if k != "mark"}}, path) for rung in rungs
        )
        marks = tuple(rung.get("mark", "") for rung in rungs)
        for section in ("data", "code"):
            content["hashes"][section], content[section]["folder"]
        content["hashes"]["spec"]
        return TrainingPlan(content["run"], content, protocols, marks, path.parent.parent, Path.cwd())
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no plan of a run ({error!r}); delete it so that it is made again") from error


def _protocol(values: Mapping[str, Any], path: Path) -> Protocol:
    known = {field.name for field in fields(Protocol)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(
            f"{path}: this code does not know the training fields {', '.join(unknown)}; plan the study again"
        )
    return Protocol(**values)


def check_code(plan: TrainingPlan) -> None:
    """Raise UserError where the frozen code that this process runs is not the code of the plan.

    Code outside `<results>/code` (a working tree under development) is not checked.
    """
    # two levels up from tokenmix/training/plan.py lies the folder on the Python path
    source = Path(__file__).resolve().parents[2]
    if source.parent != (plan.results / "code").resolve():
        return
    from tokenmix.study.code import code_identity
    from tokenmix.study.grammar import parse_model

    entries = ["tokenmix.training.__main__", *parse_model(plan.spec["model"]).modules(plan.spec["init"])]
    # the same entries as in tokenmix.study.stages, which knows all stages and must not count as code of a run
    if code_identity(entries, source).hash != plan.content["hashes"]["code"]:
        raise UserError(
            f"the frozen code in {source} was changed: it is not the code that {plan.run} was planned with; "
            "delete that folder and plan the study again"
        )


def check_card(plan: TrainingPlan, card: Mapping[str, Any]) -> None:
    """Raise UserError where the prepared data are not the plan's, or cannot be normalised."""
    where = plan.data_folder / "card.json"
    if card.get("hash") != plan.content["hashes"]["data"]:
        raise UserError(
            f"{where} belongs to other data than {plan.run} was planned with; delete its folder and prepare "
            "the data again"
        )
    statistics = [*card["mean"], *card["std"]]
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in statistics):
        raise UserError(
            f"{where}: mean or standard deviation is not a number; prepare the data again from sound images"
        )


def checkpoint_seconds() -> float:
    """Seconds between two writes of resumable state: an execution setting, never part of a run's identity."""
    text = os.environ.get("TOKENMIX_CHECKPOINT_SECONDS", "")
    try:
        value = float(text) if text else CHECKPOINT_SECONDS
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise UserError(f"TOKENMIX_CHECKPOINT_SECONDS is {text!r}; give a number of seconds, 0 for every step")
    return value
