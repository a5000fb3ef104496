"""The frozen plan: every run of a study, written to files that jobs read in place of the config."""

import functools
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import pretty_json, write_atomic
from tokenmix.study.checkpoints import load_checkpoints, weights_file
from tokenmix.study.code import DIGITS, SOURCE, CodeIdentity, code_identity
from tokenmix.study.coincide import coinciding, global_stages
from tokenmix.study.config import Config
from tokenmix.study.datahash import DataIdentity, data_identity
from tokenmix.study.frozen import code_folder, freeze_code
from tokenmix.study.grid import Run, expand
from tokenmix.study.manifest import load_manifest
from tokenmix.study.published import switched
from tokenmix.study.spec import RunSpec, identifying, model_options, resolve_spec, run_id
from tokenmix.study.stages import stage_identities, training_entries

#: training fields that an estimate of a study's cost needs
COST_FIELDS = ("iterations", "batch_size", "accumulation")
#: what trains a pack of runs; it is no part of any run's identity
PACKER = "tokenmix.training.pack"


@dataclass(frozen=True)
class PlannedRun:
    """A run with everything that its name stands for."""

    id: str
    run: Run
    spec: RunSpec
    data: DataIdentity
    code: CodeIdentity


@dataclass(frozen=True)
class Plan:
    """A study resolved into runs. results: folder of all results; content: what the study index holds."""

    results: Path
    runs: dict[str, PlannedRun]
    content: dict[str, Any]

    @property
    def text(self) -> str:
        """The study index as JSON; inner keys keep the order of the study, which tables follow."""
        ordered = dict(sorted(self.content.items()))
        return json.dumps(ordered, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @property
    def index(self) -> Path:
        """Path of the study index, named by its content."""
        short = hashlib.sha256(self.text.encode()).hexdigest()[:DIGITS]
        return self.results / "plan" / f"{self.content['study']}.{short}.json"


def resolve(config: Config, root: Path, source: Path = SOURCE) -> Plan:
    """Name every run of the study; writes nothing.

    root: the project's folder, to which the config's paths are relative. source: the folder of the package.
    Raises UserError for mistakes in the config's tables and for code that is not valid Python.
    """
    manifest = load_manifest(root / config.data.folder)
    data = functools.cache(lambda name, size: data_identity(name, size, manifest, source, config.data.padding))
    code = functools.cache(lambda model, init: code_identity(training_entries(model, init), source))
    checkpoints = load_checkpoints()
    runs: dict[str, PlannedRun] = {}
    for run in expand(config, manifest):
        spec = resolve_spec(config, run, checkpoints)
        identity = data(run.dataset, run.size), code(run.model, run.init)
        name = run_id(spec, identity[0].hash, identity[1].hash)
        runs[name] = PlannedRun(name, run, spec, *identity)
    return Plan(root / config.results, runs, _index(config, runs, source))


def freeze(config: Config, root: Path, source: Path = SOURCE) -> Plan:
    """Resolve the study and write its plan: code, data identities, a file a run, the study index.

    Everything is named by its content, so that jobs of earlier plans keep the files they were started
    with. Raises UserError like `resolve`, where results cannot be written and where frozen files were edited.
    """
    plan = resolve(config, root, source)
    for code in {run.code.hash: run.code for run in plan.runs.values()}.values():
        freeze_code(code, source, plan.results)
    freeze_code(code_identity((PACKER,), source), source, plan.results)
    for data in {run.data.hash: run.data for run in plan.runs.values()}.values():
        path = data_file(plan.results, data.name, data.size, data.hash)
        if not path.is_file():
            write_atomic(path, pretty_json(data.parts))
    for stage in stage_identities({run.run.model for run in plan.runs.values()}, source).values():
        if not stage_file(plan.results, stage.hash).is_file():
            write_atomic(stage_file(plan.results, stage.hash), pretty_json(stage.parts))
    # each write waits for the disk: thousands of them are quicker side by side
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda run: _write_run(plan.results, run_file(run, config)), plan.runs.values()))
    if plan.index.is_file():
        plan.index.touch()  # the newest index is that of the study as it is now
    else:
        write_atomic(plan.index, plan.text)
    return plan


def run_file(run: PlannedRun, config: Config) -> dict[str, Any]:
    """What the plan file of one run holds."""
    weights = {"file": weights_file(config.data.folder, run.spec.weights["name"])} if run.spec.weights else {}
    return {
        "run": run.id,
        "spec": run.spec.canonical(),
        "rungs": [dict(rung) for rung in run.spec.rungs],
        "hashes": {"spec": run.spec.hash, "data": run.data.hash, "code": run.code.hash},
        "data": {"hash": run.data.hash, "folder": f"{config.data.folder}/{run.data.folder}"},
        "code": {"hash": run.code.hash, "folder": code_folder(config.results, run.code.hash).as_posix()},
        **({"weights": weights} if weights else {}),
    }


def data_file(results: Path, name: str, size: int, data_hash: str) -> Path:
    """Where the parts of a data identity are kept."""
    return results / "plan" / "data" / f"{name}-{size}.{data_hash[:DIGITS]}.json"


def stage_file(results: Path, code_hash: str) -> Path:
    """Where the modules of a stage's code are kept by name and hash, to tell later which of them changed."""
    return results / "plan" / "stages" / f"{code_hash[:DIGITS]}.json"


def _write_run(results: Path, content: dict[str, Any]) -> None:
    path, text = results / "plan" / f"{content['run']}.json", pretty_json(content)
    try:
        present = path.read_text()
    except FileNotFoundError:
        present = ""
    if present == text:
        return
    if present:
        try:
            old = json.loads(present)
            same = _counted(old) == _counted(content)
        except (ValueError, TypeError, KeyError, AttributeError):
            same = False
        if not same:
            raise UserError(f"the plan file {path} was edited; edit the config instead, and delete this file")
        # equal in all that counts; it keeps the fields it had when it was frozen, and learns only
        # where data and weights lie now and how remedies are marked in tables
        text = pretty_json({**old, **{key: content[key] for key in ("data", "rungs", "weights") if key in content}})
    if present != text:
        write_atomic(path, text)


def _counted(file: dict[str, Any]) -> tuple[Any, ...]:
    return file["run"], identifying(file["spec"], file["rungs"]), file["data"]["hash"], file["code"]["hash"]


def _index(config: Config, runs: dict[str, PlannedRun], source: Path) -> dict[str, Any]:
    datasets = {run.run.data: run.data for run in runs.values()}
    models: dict[str, list[str]] = {key: [] for key in datasets}
    for run in runs.values():
        if run.run.model not in models[run.run.data]:
            models[run.run.data].append(run.run.model)
    options = model_options(config)
    folder = config.data.folder
    stages = functools.cache(lambda model, size, dimensions: global_stages(model, size, options, dimensions))
    return {
        "study": config.study,
        "switched": switched(config),
        "title": config.title or config.study,
        "phantoms": any(data.kind == "phantom" for data in datasets.values()),
        "results": config.results,
        "runs": {
            name: {**_run_entry(run, config), "global_stages": stages(run.run.model, run.run.size, run.data.dimensions)}
            for name, run in runs.items()
        },
        "datasets": {
            key: {
                "name": data.name,
                "size": data.size,
                "kind": data.kind,
                "padding": data.padding,
                "folder": f"{folder}/{data.folder}",
                "hash": data.hash,
                "models": models[key],
                "coinciding": coinciding(models[key], data.size, options, data.dimensions),
            }
            for key, data in datasets.items()
        },
        "tables": {name: _table_entry(config, name) for name in config.chosen_tables},
        "remedies": _remedies(config),
        "evaluation": config.evaluation.model_dump(),
        "claims": config.claims.model_dump(),
        "profile": config.profile.model_dump(),
        "model_options": options,
        "execution": config.execution.model_dump(),
        "code": {
            stage: code.hash
            for stage, code in stage_identities({model for names in models.values() for model in names}, source).items()
        },
        "packer": code_folder(config.results, code_identity((PACKER,), source).hash).as_posix(),
        "config_lines": dict(config.lines),
    }


def _run_entry(run: PlannedRun, config: Config) -> dict[str, Any]:
    return {
        "dataset": run.run.dataset,
        "size": run.run.size,
        "dimensions": run.data.dimensions,
        "model": run.run.model,
        "init": run.run.init,
        "seed": run.run.seed,
        "tables": list(run.run.tables),
        "data_folder": f"{config.data.folder}/{run.data.folder}",
        "code_folder": code_folder(config.results, run.code.hash).as_posix(),
        "weights": weights_file(config.data.folder, run.spec.weights["name"]) if run.spec.weights else "",
        **{name: run.spec.training[name] for name in (*COST_FIELDS, "threads")},
    }


def _remedies(config: Config) -> dict[str, str]:
    """Mark -> footnote of every remedy that a run of the study may use."""
    trainings = (
        config.training_for(dataset, table) for table in config.chosen_tables for dataset in config.datasets_of(table)
    )
    ladders = (training.divergence for training in trainings if training.divergence.policy == "ladder")
    return {rung.mark: rung.note for divergence in ladders for rung in divergence.ladder}


def _table_entry(config: Config, name: str) -> dict[str, Any]:
    table = config.tables[name]
    datasets = [f"{dataset}-{config.datasets[dataset].size}" for dataset in config.datasets_of(name)]
    # how its runs train stands in their own plans
    shown = table.model_dump(exclude={"training", "seeds"})
    return {**shown, "datasets": datasets, "models": table.models(), "rows": [list(row) for row in table.rows()]}
