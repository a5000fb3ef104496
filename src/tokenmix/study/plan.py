"""The frozen plan: every run of a study, written to files that jobs read in place of the config."""

import functools
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import canonical_json, pretty_json, write_atomic
from tokenmix.study import checkouts
from tokenmix.study.checkpoints import load_checkpoints, weights_file
from tokenmix.study.code import DIGITS, SOURCE, CodeIdentity, code_identity
from tokenmix.study.config import Config
from tokenmix.study.datahash import DataIdentity, data_identity
from tokenmix.study.frozen import code_folder, freeze_code
from tokenmix.study.grid import Run, expand
from tokenmix.study.index import PACKER, study_index
from tokenmix.study.manifest import load_manifest
from tokenmix.study.refusals import refusals_told
from tokenmix.study.spec import RunSpec, identifying, resolve_spec, run_id
from tokenmix.study.stages import stage_identities, training_entries
from tokenmix.study.switches import meaning, variants
from tokenmix.study.workbench import workbench


@dataclass(frozen=True)
class PlannedRun:
    """A run with everything that its name stands for."""

    id: str
    run: Run
    spec: RunSpec
    data: DataIdentity
    code: CodeIdentity

    @property
    def epochs(self) -> int:
        """Passes over the training split, which reach the iterations; incomplete batches are dropped."""
        images = self.data.parts["parameters"]["splits"]["train"]
        batch = self.spec.training["batch_size"] * self.spec.training["accumulation"]
        return math.ceil(self.spec.training["iterations"] / max(1, images // batch))


@dataclass(frozen=True)
class Plan:
    """A study resolved into runs. results: folder of all results; content: what the study index holds."""

    results: Path
    runs: dict[str, PlannedRun]
    content: dict[str, Any]

    @cached_property
    def text(self) -> str:
        """The study index as JSON; inner keys keep the order of the study, which tables follow."""
        ordered = dict(sorted(self.content.items()))
        return json.dumps(ordered, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @cached_property
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
    data = functools.cache(lambda name, size, padding: data_identity(name, size, manifest, source, padding))
    code = functools.cache(lambda model, init: code_identity(training_entries(model, init), source))
    checkpoints = load_checkpoints()

    def planned(config: Config, runs: Iterable[Run]) -> Iterator[PlannedRun]:
        # the seeds of a cell share the rest of its spec
        settled = functools.cache(lambda cell: resolve_spec(config, cell, checkpoints))
        for run in runs:
            spec = replace(settled(replace(run, seed=0)), seed=run.seed)
            identity = data(run.dataset, run.size, config.data.padding), code(run.model, run.init)
            yield PlannedRun(run_id(spec, identity[0].hash, identity[1].hash), run, spec, *identity)

    runs = {run.id: run for run in planned(config, expand(config, manifest))}
    compared: list[dict[str, list[str]]] = []
    same: dict[str, str] = {}
    for chosen in config.comparisons:
        behind: dict[str, list[str]] = {}
        for name, variant in variants(config, chosen).items():
            wanted = (run for run in expand(variant, manifest) if run.init == chosen.init)
            for run in planned(variant, wanted):
                # what a switch leaves as it is is not trained again
                known = same.setdefault(meaning(run.spec, run.data, manifest[run.run.dataset]), run.id)
                if known == run.id:
                    tables = (*runs[known].run.tables, *run.run.tables) if known in runs else run.run.tables
                    runs[known] = replace(run, run=replace(run.run, tables=tuple(dict.fromkeys(tables))))
                behind.setdefault(name, []).append(known)
        compared.append(behind)
    return Plan(root / config.results, runs, study_index(config, runs, compared, source))


@refusals_told()
def freeze(config: Config, root: Path, source: Path = SOURCE) -> Plan:
    """Resolve the study and write its plan: code, data identities, the study index, a file a run.

    Everything is named by its content, so that jobs of earlier plans keep the files they were started
    with. Raises UserError like `resolve`, where results cannot be written and where frozen files were edited.
    """
    plan = freeze_study(config, root, source)
    freeze_runs(plan, config)
    return plan


@refusals_told()
def freeze_study(config: Config, root: Path, source: Path = SOURCE) -> Plan:
    """Like `freeze`, but for the file of each run: all that reading the workflow needs."""
    plan = resolve(config, root, source)
    codes = list({run.code.hash: run.code for run in plan.runs.values()}.values())
    codes += [code_identity((PACKER,), source), workbench(source)]
    _note_needs(plan, config, root, codes)  # first of all, so that nobody removes what is about to be used
    for code in codes:
        freeze_code(code, source, plan.results)
    for data in {run.data.hash: run.data for run in plan.runs.values()}.values():
        path = data_file(plan.results, data.name, data.size, data.hash)
        if not path.is_file():
            write_atomic(path, pretty_json(data.parts))
    for stage in stage_identities({run.run.model for run in plan.runs.values()}, source).values():
        if not stage_file(plan.results, stage.hash).is_file():
            write_atomic(stage_file(plan.results, stage.hash), pretty_json(stage.parts))
    if plan.index.is_file():
        plan.index.touch()  # the newest index is that of the study as it is now
    else:
        write_atomic(plan.index, plan.text)
    return plan


@refusals_told()
def freeze_runs(plan: Plan, config: Config) -> None:
    """Write the file of each run, which its job reads; raises UserError like `freeze`."""
    files = {plan.results / "plan" / f"{name}.json": run_file(run, config) for name, run in plan.runs.items()}
    new = {path: text for path, content in files.items() if (text := _text_to_write(path, content))}
    # each write waits for the disk: thousands of them are quicker side by side
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_atomic, new.keys(), new.values()))


def _note_needs(plan: Plan, config: Config, root: Path, codes: Sequence[CodeIdentity]) -> None:
    folders = [code_folder(plan.results, code.hash).name for code in codes]
    checkouts.note(plan.results, root, config.study, [*plan.runs, *folders])
    data = root / config.data.folder
    try:
        checkouts.note(data, root, config.study, (run.data.folder for run in plan.runs.values()))
    except UserError as error:  # data that others prepared may only be readable
        print(f"note: {error}; till then `tokenmix gc` of others may remove data that is used here", file=sys.stderr)


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


def _text_to_write(path: Path, content: dict[str, Any]) -> str:
    """What the plan file of a run lacks; empty where it is as it should be. UserError where it was edited."""
    present = path.read_text() if path.is_file() else ""
    text = _one_line_a_key(content)
    if present in ("", text):
        return "" if present else text
    try:
        old = json.loads(present)
        same = _counted(old) == _counted(content)
    except (ValueError, TypeError, KeyError, AttributeError):
        same = False
    if not same:
        raise UserError(f"the plan file {path} was edited; edit the config instead, and delete this file")
    # equal in all that counts; it keeps the fields it had when it was frozen, and learns only
    # where data and weights lie now and how remedies are marked in tables
    text = _one_line_a_key({**old, **{key: content[key] for key in ("data", "rungs", "weights") if key in content}})
    return "" if present == text else text


def _one_line_a_key(content: dict[str, Any]) -> str:
    """JSON that people can read, and that is written in no time for thousands of runs."""
    return "{\n" + ",\n".join(f' "{key}": {canonical_json(value)}' for key, value in sorted(content.items())) + "\n}\n"


def _counted(file: dict[str, Any]) -> tuple[Any, ...]:
    return file["run"], identifying(file["spec"], file["rungs"]), file["data"]["hash"], file["code"]["hash"]
