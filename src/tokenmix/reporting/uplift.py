"""What published weights add: the same model on the same data set, pretrained against its runs from scratch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tokenmix.reporting import formats
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import INITS, metric_name, model_name
from tokenmix.reporting.records import Cell, CellKey, is_number
from tokenmix.reporting.registry import Registry, Value
from tokenmix.reporting.tex import key
from tokenmix.study.grammar import FROM_SCRATCH
from tokenmix.study.options import norm_of


@dataclass(frozen=True)
class Uplift:
    """Gain of a pretrained cell over a model from scratch, in percent, with its interval over seeds."""

    pretrained: Cell
    scratch: Cell
    percent: float
    low: float
    high: float


def uplifts(study: Study) -> dict[CellKey, Uplift]:
    """The uplift of each pretrained cell whose model was trained from scratch on the same data set as well.

    Cells with a diverged run have none.
    """
    found = {}
    for at, cell in study.cells.items():
        scratch = None if cell.init in FROM_SCRATCH else _baseline(study, cell)
        if scratch is None or cell.diverged or scratch.diverged:
            continue
        if is_number(cell.mean) and scratch.mean > 0:
            percent, half = _relative_change(cell, scratch, study.level)
            found[at] = Uplift(cell, scratch, percent, percent - half, percent + half)
    return found


def _baseline(study: Study, cell: Cell) -> Cell | None:
    """Of the model's cells from scratch the one that is most like a pretrained cell; of equals the matched one.

    A model whose row shows the runs of another one has those.
    """
    rows = [(cell.model, "matched"), (cell.model, "scratch")]
    if other := study.reused.get((cell.dataset, cell.model)):
        rows.append((other, "scratch"))
    found = [study.cells.get((cell.dataset, *row, cell.metric)) for row in rows]
    return min(filter(None, found), key=lambda other: len(list(differences(study, cell, other))), default=None)


def differences(study: Study, ours: Cell, theirs: Cell) -> Iterator[tuple[str, Any, Any]]:
    """Settings in which the runs of two cells differ beside their initial weights: name and both values.

    One that runs of an older version do not know had no effect on them.
    """
    ours_has, theirs_has = (_settings(study, cell) for cell in (ours, theirs))
    for name in ours_has:
        if name in theirs_has and ours_has[name] != theirs_has[name]:
            yield name, ours_has[name], theirs_has[name]


def _settings(study: Study, cell: Cell) -> dict[str, Any]:
    spec = study.run(cell.runs[0])["spec"]
    arrangement = model_name(cell.model).arrangement
    settings = {"arrangement": arrangement, **spec["training"], **spec["model_options"]}
    if "norm" in settings:
        settings["norm"] = norm_of(settings["norm"], arrangement)
    return settings


def _relative_change(cell: Cell, scratch: Cell, level: float) -> tuple[float, float]:
    """100 (p - s) / s of two means, and half its interval: NaN where one of them has a single seed.

    The variance of p / s is that of the delta method, var(p) / s^2 + p^2 var(s) / s^4, and the quantile that of
    Student's distribution with Welch's degrees of freedom: both spreads come from few seeds and need not be equal.
    """
    from scipy.special import stdtrit

    percent = 100 * (cell.mean - scratch.mean) / scratch.mean
    if min(cell.seeds, scratch.seeds) < 2:
        return percent, math.nan
    parts = [
        (cell.std / scratch.mean) ** 2 / cell.seeds,
        (cell.mean * scratch.std / scratch.mean**2) ** 2 / scratch.seeds,
    ]
    variance = sum(parts)
    if variance == 0:
        return percent, 0.0
    freedom = variance**2 / sum(
        part**2 / (seeds - 1) for part, seeds in zip(parts, (cell.seeds, scratch.seeds), strict=True)
    )
    return percent, 100 * math.sqrt(variance) * float(stdtrit(freedom, (1 + level) / 2))


def add_uplifts(registry: Registry, study: Study) -> None:
    """Add uplift/METRIC/DATASET/MODEL/INIT, with /low and /high where both have several seeds."""
    for (dataset, model, init, metric), found in uplifts(study).items():
        shown = [name for name, table in study.tables.items() if dataset in table.datasets]
        rows = (found.pretrained.row, found.scratch.row)
        files = tuple(
            f"metrics/{name}/{dataset}.cells.csv"
            for name in shown
            if any(row in study.tables[name].rows for row in rows)
        )
        of = "the same model" if found.scratch.model == model else found.scratch.model
        baseline = f"the mean of {of} {INITS[found.scratch.init]}"
        how = f"{metric_name(metric)}, {INITS[init]}, against {baseline}, in percent"
        interval = f"interval over seeds (Welch, level {study.level:g}): {how}"
        texts = {"": (found.percent, how), "low": (found.low, f"lower end: {interval}"),
                 "high": (found.high, f"upper end: {interval}")}  # fmt: skip
        for suffix, (value, words) in texts.items():
            if is_number(value):
                at = "/".join(filter(None, (key("uplift", metric, dataset, model, init), suffix)))
                runs = found.pretrained.runs + found.scratch.runs
                line = "cell:" + key(dataset, model, init)
                given = (value, formats.change(value), line, words, "values")
                cases = found.pretrained.cases
                registry.add(at, Value(*given, unit="%", n=cases, runs=runs, format="change", files=files))
