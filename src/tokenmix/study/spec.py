"""The specification of a run: all that decides its outcome beside data and code, and its name."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tokenmix.files import canonical_json
from tokenmix.study.checkpoints import Checkpoint
from tokenmix.study.code import DIGITS
from tokenmix.study.config import Config
from tokenmix.study.grammar import FROM_SCRATCH, parse_model
from tokenmix.study.grid import Run
from tokenmix.study.options import options_of
from tokenmix.study.protocol import Rung, Training

#: Fields that are left out of the hash at these values. A field added after runs were trained belongs here
#: with the value that means what those runs did, so that the new option retrains nothing.
NEUTRAL: dict[str, Any] = {
    "training.accumulation": 1,
    "training.compile": False,
    "training.validations": 100,
    "training.selection_split": "val",
    "training.drop_last_validation": False,
    "training.schedule_lag": False,
    "model_options.small_map_fallback": False,
    "model_options.positions": "mixer",
}


@dataclass(frozen=True)
class RunSpec:
    """One run as the config resolves it.

    training: every field of the training section that shapes the outcome. model_options: options of the
    model's family. weights: the published weights that the run starts from, empty from
    scratch. rungs: what is tried in order, each a change to `training` plus its `mark`; the first
    changes nothing.
    """

    dataset: str
    size: int
    model: str
    init: str
    seed: int
    training: Mapping[str, Any]
    model_options: Mapping[str, Any]
    rungs: tuple[Mapping[str, Any], ...] = field(default=({"mark": ""},))
    weights: Mapping[str, str] = field(default_factory=dict)

    def canonical(self) -> dict[str, Any]:
        """The spec as plan files and attestations hold it."""
        return {
            "dataset": self.dataset,
            "size": self.size,
            "model": self.model,
            "init": self.init,
            "seed": self.seed,
            "training": dict(self.training),
            "model_options": dict(self.model_options),
            **({"weights": dict(self.weights)} if self.weights else {}),
        }

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what counts, in hex."""
        return hashlib.sha256(canonical_json(identifying(self.canonical(), self.rungs)).encode()).hexdigest()


def identifying(spec: Mapping[str, Any], rungs: tuple[Mapping[str, Any], ...] = ()) -> dict[str, Any]:
    """What of a canonical spec counts for its hash: no neutral values; of the remedies not their marks."""
    counted = {key: dict(value) if isinstance(value, Mapping) else value for key, value in spec.items()}
    for path, neutral in NEUTRAL.items():
        section, name = path.split(".")
        # the type counts as well: 1 == True in Python
        value = counted.get(section, {}).get(name)
        if value == neutral and type(value) is type(neutral):
            del counted[section][name]
    remedies = [{key: value for key, value in rung.items() if key != "mark"} for rung in rungs[1:]]
    if remedies:
        counted["remedies"] = remedies
    return counted


def run_id(spec: RunSpec, data_hash: str, code_hash: str) -> str:
    """`{dataset}-{size}.{model}.{init}.s{seed}.{hash8}`: the name of a run and of its folder."""
    joined = canonical_json({"spec": spec.hash, "data": data_hash, "code": code_hash})
    short = hashlib.sha256(joined.encode()).hexdigest()[:DIGITS]
    return f"{spec.dataset}-{spec.size}.{spec.model}.{spec.init}.s{spec.seed}.{short}"


def resolve_spec(config: Config, run: Run, checkpoints: Mapping[str, Checkpoint]) -> RunSpec:
    """The spec of a run of the study."""
    training = config.training_for(run.dataset, run.tables[0])
    weights = {}
    if run.init not in FROM_SCRATCH:
        checkpoint = parse_model(run.model).checkpoint
        assert checkpoint is not None  # as the check of the config says
        source = checkpoints[checkpoint]
        weights = {"name": checkpoint, "url": source.url, "sha256": source.sha256}
    return RunSpec(
        run.dataset,
        run.size,
        run.model,
        run.init,
        run.seed,
        training=training.model_dump(exclude={"divergence"}),
        model_options=options_of(run.model, run.init, config.model.model_dump()),
        rungs=resolve_rungs(training),
        weights=weights,
    )


def resolve_rungs(training: Training) -> tuple[dict[str, Any], ...]:
    """The first attempt, which changes nothing, then the ladder's remedies as changed training settings."""
    ladder = training.divergence.ladder if training.divergence.policy == "ladder" else []
    return ({"mark": ""}, *(_resolve_rung(training, rung) for rung in ladder))


def _resolve_rung(training: Training, rung: Rung) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "lr": training.lr * rung.lr_factor,
        "warmup_lr": training.warmup_lr * rung.lr_factor,
        "min_lr": training.min_lr * rung.lr_factor,
        "iterations": max(1, round(training.iterations * rung.iterations_factor)),
        "batch_size": max(1, round(training.batch_size * rung.batch_factor)),
        "accumulation": rung.accumulation or training.accumulation,
        "precision": rung.precision or training.precision,
        "compile": training.compile if rung.compile is None else rung.compile,
    }
    changed = {name: value for name, value in settings.items() if value != getattr(training, name)}
    return {**changed, "mark": rung.mark}
