"""From a value back to all that made it: metric file, predictions, runs, specs, data, code, logs, hosts."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import read_json
from tokenmix.reporting.inputs import Study, measurements
from tokenmix.reporting.provenance.integrity import ATTESTATION, PREDICTIONS, run_problems
from tokenmix.reporting.provenance.recomputed import recomputed
from tokenmix.reporting.registry import Registry, Value
from tokenmix.study.code import DIGITS

#: where the files of a value lie that are named below the study's own folder
_OWN = ("metrics", "profile", "paper")
_LOGS = Path("logs")


@dataclass(frozen=True)
class RunTrace:
    """One training behind a value. Files are paths; `data_source` holds the checksums of the archive it came from,
    `weights` the published weights that it started from, if it did; `command` makes it again where it is gone, and is
    empty for a run that the newest plan has no longer."""

    run: str
    seed: int | None
    status: str
    spec: str
    plan: str
    attestation: str
    predictions: str
    predictions_sha256: str
    data: str
    data_folder: str
    data_source: Mapping[str, Any]
    weights: Mapping[str, Any]
    code: str
    code_folder: str
    commit: str
    edited: bool
    log: str
    benchmark: str
    seconds: float | None
    host: str
    device: str
    ended: str
    command: str


@dataclass(frozen=True)
class Trace:
    """The chain of one value. command: what computes the value again; problems: links of the chain that do not hold;
    unchecked: why the link between values.json and the files below it could not be checked, if so; outdated: runs that
    the newest plan has no longer, since config, data or code changed."""

    key: str
    value: Value
    files: tuple[str, ...]
    log: str
    runs: tuple[RunTrace, ...]
    command: str
    problems: tuple[str, ...]
    unchecked: str
    outdated: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def trace(study: Study, registry: Registry, name: str) -> Trace:
    """The chain of the value with this key; raises UserError with the nearest keys where there is none."""
    value = registry[name]
    files = tuple(str(place(study, file)) for file in value.files)
    # a value without files is about the study: its runs are all of the study's
    runs = value.runs or (tuple(study.index["runs"]) if not files else ())
    problems = [problem for run in runs for problem in run_problems(study, run)]
    problems += [f"{file} is missing; make it again: {command(study, value)}" for file in files if not _exists(file)]
    differs, unchecked = recomputed(study, name, value)
    problems += [f"{differs}; compute it again: {command(study, value)}"] if differs else []
    return Trace(
        name,
        value,
        files,
        _log(study, value),
        tuple(run_trace(study, run) for run in runs),
        command(study, value),
        tuple(problems),
        unchecked,
        tuple(run for run in runs if run not in study.index["runs"]),
    )


def run_trace(study: Study, run: str) -> RunTrace:
    """What is known of one run; what is gone is left empty."""
    folder, entry = study.results / "runs" / run, study.index["runs"].get(run, {})
    attested = _tolerant(folder / ATTESTATION)
    plan = _tolerant(study.results / "plan" / f"{run}.json")
    hashes, execution, git, outputs = (_part(attested, name) for name in ("hashes", "execution", "git", "outputs"))
    spec, seconds = _part(attested, "spec"), execution.get("seconds")
    data, code = str(hashes.get("data", "")), str(hashes.get("code", ""))
    # the plan may have other runs by now, whose names still begin with the data set
    dataset = f"{run.partition('.')[0]}.{data[:DIGITS]}"
    origin = _tolerant(study.results / "plan" / "data" / f"{dataset}.json")
    benchmark = study.results / "benchmarks" / "train" / f"{run}.jsonl"
    return RunTrace(
        run=run,
        seed=entry.get("seed", spec.get("seed")),
        status=str(attested.get("status", "deleted")),
        spec=str(hashes.get("spec", "")),
        plan=_present(study.results / "plan" / f"{run}.json"),
        attestation=_present(folder / ATTESTATION),
        predictions=_present(folder / PREDICTIONS),
        predictions_sha256=str(outputs.get(PREDICTIONS, "")),
        data=data,
        data_folder=str(_part(plan, "data").get("folder", "")),
        data_source=_part(origin, "source"),
        weights={**_part(_part(plan, "spec"), "weights"), **_part(plan, "weights")},
        code=code,
        code_folder=_present(study.results / "code" / code[:DIGITS]) if code else "",
        commit=str(git.get("commit") or ""),
        edited=bool(git.get("dirty")),
        log=_present(_LOGS / "train" / f"{run}.log"),
        benchmark=_present(benchmark),
        seconds=seconds if isinstance(seconds, int | float) else None,
        host=str(execution.get("host") or ""),
        device=str(execution.get("device") or ""),
        ended=str(execution.get("ended") or ""),
        command=study.remake(run) if entry else "",
    )


def command(study: Study, value: Value) -> str:
    """The call of Snakemake that computes a value again, from what its rule reads."""
    target = f"{study.paper}/values.json"
    again = [str(place(study, file)) for file in value.files] or [target]
    return f"snakemake {shlex.quote(target)} --forcerun {shlex.join(again)} --config study={study.name}"


def place(study: Study, file: str) -> Path:
    """Where a file of a value lies, seen from the project's folder."""
    return study.folder / file if file.partition("/")[0] in _OWN else Path(file)


def _log(study: Study, value: Value) -> str:
    """The log of the rule that computed a value."""
    logs = {
        "evaluate": [
            _LOGS / "evaluate" / f"{study.name}.{Path(file).parent.name}.{_dataset(file)}.log" for file in value.files
        ],
        "evaluate_switches": [_LOGS / "evaluate" / f"{study.name}.switches.log"],
        "profile": [_LOGS / "profile" / f"{study.name}.log"],
        "prepare_data": [_LOGS / "data" / f"{Path(file).parent.name}.log" for file in value.files],
        "table_of_reported": [_LOGS / "tables" / f"{study.name}.reported.log"],
    }
    return _present(logs.get(value.rule, [_LOGS / "paper" / f"{study.name}.values.log"])[0])


def _dataset(file: str) -> str:
    return Path(file).name.removesuffix(".cells.csv")


def _exists(file: str) -> bool:
    return Path(file).is_file()


def _present(path: Path) -> str:
    return str(path) if path.exists() else ""


def _tolerant(path: Path) -> dict[str, Any]:
    """A JSON file, or nothing where it is missing or broken: the chain is shown as far as it goes."""
    try:
        found = read_json(path)
    except UserError:
        return {}
    return found if isinstance(found, dict) else {}


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a record, or nothing where somebody wrote something else there."""
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def benchmark_of(run: RunTrace) -> dict[str, Any]:
    """What the last job at a run measured."""
    lines = measurements(Path(run.benchmark)) if run.benchmark else []
    return lines[-1] if lines else {}
