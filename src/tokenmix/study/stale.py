"""Which runs of a plan exist, and what changed where only an earlier run of the same cell does."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tokenmix.study.frozen import read_modules
from tokenmix.study.plan import Plan, PlannedRun, data_file
from tokenmix.study.spec import NEUTRAL, identifying
from tokenmix.study.tolerant import read_object

ABSENT = None


@dataclass(frozen=True)
class Difference:
    """One reason why an earlier run does not count: of the spec a field, of data or code a part."""

    kind: Literal["spec", "data", "code", "unknown"]
    name: str
    before: Any = ABSENT
    after: Any = ABSENT

    def __str__(self) -> str:
        prefix = "data: " if self.kind == "data" else ""
        if self.kind == "unknown":
            return self.name
        if self.kind == "code" or self.name.startswith("code."):
            verb = "new" if self.before is ABSENT else "no longer used" if self.after is ABSENT else "changed"
            return f"{prefix}{self.name.removeprefix('code.')} ({verb})"
        return f"{prefix}{self.name} {_show(self.before)} -> {_show(self.after)}"


@dataclass(frozen=True)
class RunState:
    """What there is of one run. earlier: the newest run of the same cell, where this one is missing."""

    run: str
    state: Literal["exists", "stale", "missing"]
    earlier: str = ""
    differences: tuple[Difference, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def states(plan: Plan) -> list[RunState]:
    """The state of every run of the plan, in its order; reads each run.json at most once."""
    folder = plan.results / "runs"
    present: dict[str, list[str]] = {}
    for name in sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ():
        present.setdefault(name.rpartition(".")[0], []).append(name)
    return [_state(plan, run, folder, _earlier(plan, run, present)) for run in plan.runs.values()]


def _earlier(plan: Plan, run: PlannedRun, present: Mapping[str, list[str]]) -> list[str]:
    """Runs of the same cell, the run itself among them, but none that the plan wants beside it."""
    return [name for name in present.get(run.run.cell, []) if name == run.id or name not in plan.runs]


def _state(plan: Plan, run: PlannedRun, folder: Path, of_cell: list[str]) -> RunState:
    attested = {name: found for name in of_cell if (found := _attestation(folder / name)) is not None}
    if run.id in attested:
        differences = tuple(_differences(plan, run, attested[run.id], _plan_file(plan, run.id)))
        if differences:
            return RunState(run.id, "stale", run.id, differences)
        return RunState(run.id, "exists")
    if not attested:
        return RunState(run.id, "missing")
    newest = max(attested, key=lambda name: (str(attested[name].get("execution", {}).get("ended", "")), name))
    differences = tuple(_differences(plan, run, attested[newest], _plan_file(plan, newest)))
    if not differences:
        differences = (Difference("unknown", "its plan file is gone, so what changed cannot be told"),)
    return RunState(run.id, "stale", newest, differences)


def _differences(
    plan: Plan, run: PlannedRun, attested: Mapping[str, Any], earlier: Mapping[str, Any]
) -> Iterator[Difference]:
    rungs = run.spec.rungs if "rungs" in earlier else ()
    before = dict(_flat(identifying(attested["spec"], tuple(earlier.get("rungs", ())))))
    after = dict(_flat(identifying(run.spec.canonical(), rungs)))
    pairs = {
        name: (before.get(name, NEUTRAL.get(name)), after.get(name, NEUTRAL.get(name))) for name in {*before, *after}
    }
    differ = sorted(name for name, pair in pairs.items() if pair[0] != pair[1])
    for name in differ:
        # remedies are computed from the settings: where those differ they say it better
        if name != "remedies" or len(differ) == 1:
            yield Difference("spec", name, *pairs[name])
    hashes = attested["hashes"]
    if hashes["data"] != run.data.hash:
        old_data = read_object(data_file(plan.results, run.data.name, run.data.size, hashes["data"]))
        if not old_data:
            yield Difference("data", "hash", hashes["data"], run.data.hash)
        else:
            yield from changes("data", old_data, run.data.parts)
    if hashes["code"] != run.code.hash:
        old_code = read_modules(plan.results, hashes["code"])
        if old_code is None:
            yield Difference("code", "hash", hashes["code"], run.code.hash)
        else:
            yield from changes("code", old_code, run.code.parts)


def changes(
    kind: Literal["spec", "data", "code"], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Difference]:
    """What differs between two mappings, nested ones by dotted names."""
    before, after = dict(_flat(before)), dict(_flat(after))
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Difference(kind, name, before.get(name), after.get(name))


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted paths; lists stay values."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _attestation(folder: Path) -> dict[str, Any] | None:
    """The run's attestation, or None where it is missing or broken: then the run counts as missing."""
    found = read_object(folder / "run.json")
    if not isinstance(found.get("spec"), dict):
        return None
    return found if {"data", "code"} <= found.get("hashes", {}).keys() else None


def _plan_file(plan: Plan, run: str) -> dict[str, Any]:
    return read_object(plan.results / "plan" / f"{run}.json")


def _show(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
