"""What the page shows, as plain data for JSON: cells, runs, learning curves, published values, claims, all values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tokenmix.files import read_json
from tokenmix.reporting.formats import short_hash
from tokenmix.reporting.inputs import Study, parsed
from tokenmix.reporting.names import INITS, metric_name, row_text
from tokenmix.reporting.provenance.trace import benchmark_of, command, place, run_trace
from tokenmix.reporting.records import Cell
from tokenmix.reporting.registry import Registry
from tokenmix.reporting.reported import comparisons_of
from tokenmix.reporting.tex import key
from tokenmix.rows import read_rows

#: validations that the curve of one run keeps
POINTS = 40
#: facts of the study that the head of the page says, by their keys in the registry
_HEAD = (
    "name",
    "title",
    "computed",
    "commit",
    "audit",
    "runs",
    "cells",
    "devices",
    "torch",
    "train_hours",
    "test_cases",
)


def content(study: Study, registry: Registry) -> dict[str, Any]:
    """All of the page but its learning curves. Names of cells are those of the PDF's links: data set/model/init."""
    metrics = dict.fromkeys(cell.metric for cell in study.cells.values())
    return {
        "study": {name: registry[f"study/{name}"].text for name in _HEAD},
        "phantoms": study.phantoms,
        "level": study.level,
        "metrics": {metric: metric_name(metric) for metric in metrics},
        "datasets": {name: study.title(name) for name in study.datasets},
        "cells": _cells(study, registry),
        "runs": _runs(study),
        "reported": _reported(study),
        "claims": read_json(study.paper / "claims.json"),
        "values": _values(study, registry),
    }


def curves(study: Study) -> dict[str, dict[str, list[float | None]]]:
    """Run -> column of its history -> values: at most POINTS of its validations, the selected one among them."""
    return {run: _curve(study.history(run)) for run in study.index["runs"]}


def _curve(rows: Sequence[Mapping[str, str]]) -> dict[str, list[float | None]]:
    last = len(rows) - 1
    kept = (
        {round(place * last / (POINTS - 2)) for place in range(POINTS - 1)} if last >= POINTS else set(range(last + 1))
    )
    kept |= {place for place, row in enumerate(rows) if row.get("selected") == "1"}
    chosen = [rows[place] for place in sorted(kept)]
    return {column: [_number(row[column]) for row in chosen] for column in (rows[0] if rows else ())}


def _number(value: Any) -> float | None:
    """A number that JSON can hold, with the digits that a drawing needs."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return float(f"{number:.5g}") if math.isfinite(number) else None


def _cell_name(dataset: str, model: str, init: str) -> dict[str, str]:
    """How a cell is called, for the page's links and for people."""
    return {"id": key(dataset, model, init), "model": model, "label": row_text(model, init), "dataset": dataset} | {
        "init": INITS.get(init, init)
    }


def _cells(study: Study, registry: Registry) -> list[dict[str, Any]]:
    tables: dict[tuple[str, str, str], list[str]] = {}
    for table in study.tables.values():
        for name in dict.fromkeys(at[:3] for at in study.cells_of(table)):
            tables.setdefault(name, []).append(table.name)
    found = []
    for name, cells in study.cell_groups():
        first = cells[0]
        value = registry[key(first.metric, *name)]
        found.append(
            {
                **_cell_name(*name),
                "tables": tables[name],
                "seeds": first.seeds,
                "cases": first.cases,
                "status": "diverged" if first.diverged else "finished",
                "mark": first.mark,
                "runs": first.runs,
                "scores": {cell.metric: _score(cell) for cell in cells},
                "how": value.how,
                "rule": value.rule,
                "config": value.config,
                "files": [str(place(study, file)) for file in value.files],
                "command": command(study, value),
            }
        )
    return found


def _score(cell: Cell) -> list[float | None]:
    return [_number(value) for value in (cell.mean, cell.std, cell.low, cell.high)]


def _runs(study: Study) -> dict[str, Any]:
    """Fields and rows rather than objects: 2,000 runs would repeat the names of fields 2,000 times."""
    scores = _run_scores(study)
    rows = []
    for run, entry in study.index["runs"].items():
        traced = run_trace(study, run)
        measured = benchmark_of(traced)
        attested = study.run(run)
        name = _cell_name(f"{entry['dataset']}-{entry['size']}", entry["model"], entry["init"])
        rows.append(
            {
                **asdict(traced),
                **name,
                "id": key(run),
                "cell": name["id"],
                "mark": attested.get("mark", ""),
                "epoch": attested.get("best", {}).get("epoch"),
                "selection": attested["spec"]["training"].get("selection", ""),
                "commit": short_hash(traced.commit) + (" (edited)" if traced.edited else ""),
                "memory": measured.get("max_rss_mb"),
                "scores": scores.get(run, {}),
            }
        )
    fields = list(rows[0]) if rows else []
    return {"fields": fields, "rows": [[row[field] for field in fields] for row in rows]}


def _run_scores(study: Study) -> dict[str, dict[str, float | None]]:
    """Run -> metric -> its own value on the test split."""
    scores: dict[str, dict[str, float | None]] = {}
    for table in study.tables.values():
        for dataset in table.datasets:
            path = study.folder / "metrics" / table.name / f"{dataset}.csv"
            values = parsed(path, read_rows(path), lambda row: (row["run"], row["metric"], _number(row["value"])))
            for run, metric, value in values:
                scores.setdefault(run, {})[metric] = value
    return scores


def _values(study: Study, registry: Registry) -> dict[str, Any]:
    """Fields and rows, as of runs; what many values have in common stands once, in a pool, and rows say its place."""
    pools: dict[str, dict[Any, int]] = {
        field: {} for field in ("unit", "how", "rule", "config", "files", "runs", "line")
    }
    rows = []
    for name, value in registry.values.items():
        files = tuple(str(place(study, file)) for file in value.files)
        common = {**{field: getattr(value, field) for field in pools}, "files": files}
        places = [pool.setdefault(common[field], len(pool)) for field, pool in pools.items()]
        rows.append([name, value.value, value.text, value.n, *places])
    fields = ["id", "value", "text", "n", *pools]
    return {"fields": fields, "rows": rows, "pools": {field: list(pool) for field, pool in pools.items()}}


def _reported(study: Study) -> list[dict[str, Any]]:
    numbers = ("reported", "reproduced", "std", "low", "high", "difference", "difference_low", "difference_high")
    return [
        asdict(entry)
        | {number: _number(getattr(entry, number)) for number in numbers}
        | _cell_name(entry.dataset, entry.model, entry.init)
        for entry in comparisons_of(study)
    ]
