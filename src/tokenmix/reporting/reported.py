"""Reported against reproduced: each published value beside the study's own cell, and against its seed noise.

`tokenmix report reported` writes what the table, the figure and the registry of values show.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from pathlib import Path
from statistics import NormalDist
from typing import Any

from tokenmix.files import write_atomic
from tokenmix.reporting import formats
from tokenmix.reporting.inputs import Study, parsed
from tokenmix.reporting.names import model_name
from tokenmix.reporting.published import SIZE, Published, read_published
from tokenmix.reporting.records import Cell, is_number
from tokenmix.reporting.registry import Registry, Value
from tokenmix.rows import read_rows, records_text


@dataclass(frozen=True)
class Comparison:
    """One published value and our cell; `difference` is ours minus theirs, with the interval of ours.

    `inside`: the reported value lies in our interval over cases. `alike`: our images have the published size.
    `reused`: the cell is of another arrangement, whose runs stand in the row of this model, as published.
    """

    table: str
    dataset: str
    model: str
    init: str
    metric: str
    reported: float
    reproduced: float
    std: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    inside: bool
    alike: bool
    diverged: bool
    seeds: int
    note: str
    reused: bool


@dataclass(frozen=True)
class Noise:
    """Differences between the models of one published table on one data set, against the noise of our seeds.

    `noise` is the standard deviation between seeds (root mean square over our models), NaN where no model has two;
    `larger` of the `pairs` differ by more than two runs of one model do.
    """

    table: str
    dataset: str
    metric: str
    noise: float
    pairs: int
    larger: int


def write(study: Study, source: Path, out: Path) -> None:
    """Write `<out>/reported.csv`, `.tex` and `reported_noise.csv` from the published values in `source`."""
    from tokenmix.reporting.reported_table import reported_tex

    published = read_published(source, tuple(entry["name"] for entry in study.datasets.values()))
    compared = compare(study, published)
    write_atomic(out / "reported.csv", _csv(Comparison, compared))
    write_atomic(out / "reported_noise.csv", _csv(Noise, noises(study, published)))
    write_atomic(out / "reported.tex", reported_tex(study, compared, len(published)))
    skipped = len(published) - len(compared)
    print(f"{len(published)} published values: {len(compared)} compared, {skipped} skipped (not run in this study)")


def compare(study: Study, published: Iterable[Published]) -> list[Comparison]:
    """The published values that the study has a cell for, in their order.

    S12 and networks of one scale have counterparts, `xs` has none: no published model is that small.
    """
    cells: dict[tuple[Any, ...], Cell] = {}
    for cell in study.cells.values():
        for name in map(model_name, _shown_as(study, cell)):
            if name.scale in ("", "s12") and is_number(cell.mean):
                own = (name.arrangement, name.mixer, name.kernel, name.extensions)
                cells.setdefault((study.datasets[cell.dataset]["name"], *own, cell.init, cell.metric), cell)
    found = []
    for value in published:
        model = (value.arrangement, value.mixer, value.kernel, value.extensions)
        keys = [(value.dataset, *model, init, value.metric) for init in value.inits]
        ours = next((cells[key] for key in keys if key in cells), None)
        if ours:
            found.append(_comparison(study, value, ours))
    return found


def _shown_as(study: Study, cell: Cell) -> list[str]:
    """The models in whose rows a cell stands: its own, and those that show its runs in place of their own."""
    here = (cell.dataset, cell.model, cell.init)
    others = [model for (dataset, model), other in study.reused.items() if (dataset, other, "scratch") == here]
    return [cell.model, *others]


def _comparison(study: Study, theirs: Published, ours: Cell) -> Comparison:
    return Comparison(
        theirs.table,
        ours.dataset,
        ours.model,
        ours.init,
        ours.metric,
        theirs.value,
        ours.mean,
        ours.std,
        ours.low,
        ours.high,
        ours.mean - theirs.value,
        ours.low - theirs.value,
        ours.high - theirs.value,
        ours.low <= theirs.value <= ours.high,
        _alike(study, ours),
        ours.diverged,
        ours.seeds,
        theirs.note,
        model_name(ours.model).arrangement != theirs.arrangement,
    )


def _alike(study: Study, cell: Cell) -> bool:
    return study.datasets[cell.dataset]["size"] == SIZE


def noises(study: Study, published: Sequence[Published]) -> list[Noise]:
    """One record for each published table, data set and metric in which two models can be compared.

    Two runs of one model differ by less than z sqrt(2) s in a share of cases that is the study's level; s is taken
    over our own models on that data set, at the published size, which trained at least twice.
    """
    z = NormalDist().inv_cdf((1 + study.level) / 2)
    variances: dict[tuple[str, str], list[float]] = {}
    for cell in study.cells.values():
        counts = is_number(cell.std) and not cell.diverged and _alike(study, cell)
        if counts and model_name(cell.model).scale in ("", "s12"):
            variances.setdefault((study.datasets[cell.dataset]["name"], cell.metric), []).append(cell.std**2)
    columns: dict[tuple[str, str, str], dict[Any, float]] = {}
    for value in published:
        if value.metric is not None:
            columns.setdefault((value.table, value.dataset, value.metric), {}).setdefault(value.model, value.value)
    found = []
    for (table, dataset, metric), values in columns.items():
        if len(values) > 1:
            own = variances.get((dataset, metric), [])
            noise = math.sqrt(sum(own) / len(own)) if own else math.nan
            differences = [abs(a - b) for a, b in combinations(values.values(), 2)]
            larger = sum(difference > z * math.sqrt(2) * noise for difference in differences)
            found.append(Noise(table, dataset, metric, noise, len(differences), larger))
    return found


def _csv(record: type, records: Iterable[Any]) -> str:
    rows = ({name: _plain(value) for name, value in asdict(entry).items()} for entry in records)
    return records_text([field.name for field in fields(record)], rows)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def comparisons_of(study: Study) -> list[Comparison]:
    """What `write` compared."""
    return _records(study, "reported", Comparison)


def noises_of(study: Study) -> list[Noise]:
    """What `write` held against seed noise."""
    return _records(study, "reported_noise", Noise)


def _records(study: Study, name: str, record: Any) -> list[Any]:
    path = study.paper / "tables" / f"{name}.csv"
    types: Mapping[str, Any] = {
        field.name: (lambda text: text == "1") if field.type is bool else field.type for field in fields(record)
    }
    return parsed(
        path, read_rows(path), lambda row: record(**{column: read(row[column]) for column, read in types.items()})
    )


def add_reported(registry: Registry, study: Study) -> None:
    """Add reported/compared, alike, inside, pairs, larger, share: how the study stands to the published one."""
    compared = comparisons_of(study)
    alike = [entry for entry in compared if entry.alike and not entry.diverged]
    told = [entry for entry in noises_of(study) if is_number(entry.noise)]
    pairs, larger = sum(entry.pairs for entry in told), sum(entry.larger for entry in told)
    share = larger / pairs if pairs else None
    level = formats.percent(study.level)

    def add(name: str, value: Any, text: str, how: str) -> None:
        line, format = f"value:reported/{name}", "percent" if name == "share" else "count"
        files = ("paper/tables/reported.csv", "paper/tables/reported_noise.csv")
        registry.add(f"reported/{name}", Value(value, text, line, how, "table_of_reported", format=format, files=files))

    add("compared", len(compared), formats.count(len(compared)), "published values for which the study has a cell")
    add("alike", len(alike), formats.count(len(alike)), "of these, finished cells with images of the published size")
    inside = sum(entry.inside for entry in alike)
    add("inside", inside, formats.count(inside), f"of these, published values in the {level} interval of our cell")
    scope = "published differences between two models of a table, on data sets that we trained on with several seeds"
    add("pairs", pairs, formats.count(pairs), scope)
    noise = f"larger than those between two seeds of one model, at level {level}"
    add("larger", larger, formats.count(larger), f"{scope}, {noise}")
    text = "n/a" if share is None else formats.percent(round(share, 2))
    add("share", share, text, f"share of {scope} that are {noise}")
