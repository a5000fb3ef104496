"""Why a table, a figure, a run, a data set or the PDF is not up to date, and what making it so costs."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tokenmix.errors import UserError
from tokenmix.files import read_json
from tokenmix.reporting.figures import FIGURES
from tokenmix.reporting.provenance.built import OTHER_TABLES, Output, archives, differences, outputs, page
from tokenmix.reporting.registry import nearest
from tokenmix.study.cost import Cost, Throughput, estimate
from tokenmix.study.packs import finished_runs
from tokenmix.study.plan import SOURCE, Plan, PlannedRun, data_file
from tokenmix.study.stages import stage_identities
from tokenmix.study.stale import Difference, RunState, changes, states

PAPER = ("pdf", "paper", "all")
_PAGE = ("report_page", "report")
_ARCHIVES = ("archive", "arxiv", "crate")
_VALUES = frozenset({"evaluate", "evaluate_switches", "profile", "table_of_reported", "values"})
#: a part of the paper -> the rules that it rests on
_PARTS = {"values": _VALUES, "claims": _VALUES | {"claims"}}


@dataclass(frozen=True)
class Reason:
    """One cause and the runs, data folders or files that it makes stale. where: the line of the config, if any."""

    kind: Literal["run", "data", "file"]
    text: str
    where: str
    stale: tuple[str, ...]


@dataclass(frozen=True)
class Why:
    """The answer for one target. cost: of the runs to be trained, without those that the store still holds."""

    target: str
    runs: int
    reasons: tuple[Reason, ...]
    cost: Cost
    unknown: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Scope:
    """What a target rests on."""

    runs: list[PlannedRun]
    outputs: list[Output]


def explain(plan: Plan, target: str) -> Why:
    """Say what of the target is stale and why; raises UserError where the study has no such target."""
    scope = _scope(plan, target)
    wanted = {run.id for run in scope.runs}
    found = [state for state in states(plan) if state.run in wanted and state.state != "exists"]
    kept = finished_runs(plan.results, [state.run for state in found if state.state == "missing"])
    reasons: dict[tuple[Literal["run", "data", "file"], str, str], list[str]] = {}
    for state in found:
        for text, where in _causes(plan, state, state.run in kept):
            reasons.setdefault(("run", text, where), []).append(state.run)
    for folder, text in _unprepared(plan, scope.runs):
        reasons.setdefault(("data", text, ""), []).append(folder)
    unknown = []
    models = {run.run.model for run in plan.runs.values()}
    code = stage_identities(models, SOURCE) if scope.outputs else {}
    for output in scope.outputs:
        changed = differences(plan, output, code[output.stage])
        if not Path(output.file).is_file():
            reasons.setdefault(("file", f"was not made yet (rule {output.rule})", ""), []).append(output.file)
        elif changed is None:
            unknown.append(output.file)
        else:
            for difference in changed:
                where = _line(plan, [difference.name])
                reasons.setdefault(("file", f"{difference} (rule {output.rule})", where), []).append(output.file)
    wanted_runs = [plan.content["runs"][state.run] for state in found if state.run not in kept]
    cost = estimate(wanted_runs, Throughput.of_finished(plan.results))
    listed = (Reason(*cause, tuple(names)) for cause, names in reasons.items())
    return Why(target, len(wanted), tuple(listed), cost, tuple(unknown))


def _scope(plan: Plan, target: str) -> _Scope:
    runs = list(plan.runs.values())
    paper = list(outputs(plan, [], list(FIGURES), paper=True))
    table, figure = target.removeprefix("table_"), target.removeprefix("figure_")
    if target in PAPER:
        shown = [page(plan)] if target == "all" else []
        return _Scope(runs, [*paper, *shown])
    if target in _PARTS:
        return _Scope(runs, [output for output in paper if output.rule in _PARTS[target]])
    if target in _ARCHIVES:
        shown = [] if target == "arxiv" else [page(plan)]
        packed = [output for output in archives(plan) if target in ("archive", output.rule)]
        return _Scope(runs, [*paper, *shown, *packed])
    if target in _PAGE:
        return _Scope(runs, [*(output for output in paper if output.rule in _PARTS["claims"]), page(plan)])
    if target == "tables":
        return _Scope(runs, list(outputs(plan, [*plan.content["tables"], *OTHER_TABLES], [], paper=False)))
    if target == "figures":
        return _Scope(runs, list(outputs(plan, [], list(FIGURES), paper=False)))
    if table in plan.content["tables"]:
        of_table = [run for run in runs if table in run.run.tables]
        return _Scope(of_table, list(outputs(plan, [table], [], paper=False)))
    if table in OTHER_TABLES:
        behind = {"datasets": [], "switches": [run for run in runs if table in run.run.tables]}.get(table, runs)
        return _Scope(behind, list(outputs(plan, [table], [], paper=False)))
    if figure in FIGURES:
        counted = figure in ("mac_mixers", "mac_sizes")
        return _Scope([] if counted else runs, list(outputs(plan, [], [figure], paper=False)))
    for chosen in (
        [run for run in runs if target in (run.id, run.run.cell)],
        [run for run in runs if target in (run.run.data, run.run.dataset)],
    ):
        if chosen:
            return _Scope(chosen, [])
    kinds = {
        "a table": [f"table_{name}" for name in (*plan.content["tables"], *OTHER_TABLES)],
        "a figure": [f"figure_{name}" for name in FIGURES],
        "a data set": list(plan.content["datasets"]),
    }
    parts = (*_PARTS, "tables", "figures", *_ARCHIVES, *_PAGE)
    known = [*(name for names in kinds.values() for name in names), *parts, *plan.runs]
    near = nearest(target, known) or nearest(f"table_{target}", known) or list(kinds["a table"])
    raise UserError(
        f"the study {plan.content['study']} has no table, figure, run or data set {target}; the nearest are "
        f"{', '.join(near)}; pdf stands for all of them"
    )


def _causes(plan: Plan, state: RunState, kept: bool) -> Iterator[tuple[str, str]]:
    """(what made a run stale, the line of the config where that is set)."""
    if state.state == "missing":
        yield ("is finished in the store and only needs to be published" if kept else "was not trained yet"), ""
    dataset = plan.runs[state.run].run.dataset
    for difference in state.differences:
        paths = [
            f"datasets.{dataset}.{difference.name}",
            difference.name,
            difference.name.replace("model_options", "model"),
        ]
        yield str(difference), _line(plan, paths) if difference.kind == "spec" else ""


def _line(plan: Plan, paths: Iterable[str]) -> str:
    lines = plan.content["config_lines"]
    return next((lines[path] for path in paths if path in lines), "")


def _unprepared(plan: Plan, runs: list[PlannedRun]) -> Iterator[tuple[str, str]]:
    """(folder of prepared data that is missing, why), held against the last identity of the same data set."""
    for data in {run.data.hash: run.data for run in runs}.values():
        folder = plan.content["datasets"][f"{data.name}-{data.size}"]["folder"]
        if (Path(folder) / "card.json").is_file():
            continue
        own = data_file(plan.results, data.name, data.size, data.hash)
        others = [path for path in own.parent.glob(f"{data.name}-{data.size}.*.json") if path != own]
        earlier = max(others, key=lambda path: path.stat().st_mtime, default=None)
        found: list[Difference] = list(changes("data", read_json(earlier), data.parts)) if earlier else []
        if found:
            yield from ((folder, str(difference)) for difference in found)
        else:
            yield folder, "was not prepared yet"
