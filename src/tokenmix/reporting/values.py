"""Every value of a study: cells, data sets, profile, protocol, findings."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tokenmix.files import pretty_json, write_atomic
from tokenmix.reporting import formats
from tokenmix.reporting.findings import add_findings, findings_tex, summary_tex
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import enumerate_words, metric_name
from tokenmix.reporting.profile_values import add_profile
from tokenmix.reporting.provenance import audited
from tokenmix.reporting.provenance.integrity import refuse_changed_attestations
from tokenmix.reporting.records import Cell
from tokenmix.reporting.registry import Registry, Value
from tokenmix.reporting.reported import add_reported
from tokenmix.reporting.screening import add_verdicts
from tokenmix.reporting.switches import add_switches
from tokenmix.reporting.table_values import add_tables, tabled_runs
from tokenmix.reporting.tex import key
from tokenmix.reporting.uplift import add_uplifts


def write(study: Study, out: Path) -> Registry:
    """Write values.json, values.tex, findings.tex, summary.tex and contents.tex to `out`.

    Raises UserError where the attestation of a run was changed after its training.
    """
    refuse_changed_attestations(study)
    registry = build(study)
    write_atomic(out / "values.json", pretty_json(registry.as_json()))
    write_atomic(out / "values.tex", registry.as_tex(phantoms=study.phantoms))
    write_atomic(out / "findings.tex", findings_tex(registry, study))
    write_atomic(out / "summary.tex", summary_tex(registry, study))
    write_atomic(out / "contents.tex", _contents(study))
    return registry


def _contents(study: Study) -> str:
    lines = ["% generated: the study's tables of results"]
    for number, name in enumerate(study.tables):
        if number == 0:
            # the manuscript refers to the first table without knowing its name
            lines.append(r"\def\tmxmainlabel{\label{tab:main}}")
        lines.append(f"\\studytable{{{name}}}")
    return "\n".join(lines) + "\n"


def _add_study(registry: Registry, study: Study) -> None:
    runs = study.runs
    newest = study.newest
    seconds = sum(float(run["execution"].get("seconds") or 0) for run in runs.values())
    groups = {name for name, _ in study.cell_groups()}
    models = {entry["model"] for entry in study.index["runs"].values()}
    cases = sum(int(card["n"]["test"]) for card in study.cards.values())
    evaluation = study.index.get("evaluation", {})
    devices = sorted({str(run["execution"].get("device") or "unknown device") for run in runs.values()})
    torch = sorted({str(run.get("libraries", {}).get("torch", "unknown")) for run in runs.values()})
    titles = [study.title(name) for name in study.datasets]

    def add(
        name: str,
        value: Any,
        form: Callable[[Any], str],
        how: str,
        unit: str = "",
        config: str = "",
        text: str | None = None,
    ) -> None:
        shown = form(value) if text is None else text
        line, at = f"value:study/{name}", study.line(config) if config else ""
        format = "text" if form is str else form.__name__
        registry.add(
            f"study/{name}",
            Value(value, shown, line, how, "values", unit=unit, n=len(runs), config=at, format=format),
        )

    title = study.index.get("title") or study.name
    add("name", study.name, str, "name in the config", config="study")
    add("title", title, str, "title in the config", config="title")
    add("runs", len(runs), formats.count, "trainings in the plan", "runs", config="tables")
    how = "combinations of data set, model and initialisation"
    add("cells", len(groups), formats.count, how, "cells", config="tables")
    add("models", len(models), formats.count, "different models in the plan", "models", config="tables")
    add("datasets", len(study.datasets), formats.count, "data sets in the plan", "data sets", config="datasets")
    add("dataset_names", titles, enumerate_words, "titles in the list of data sets", config="datasets")
    add("test_cases", cases, formats.count, "cases of all test splits together", "cases", config="datasets")
    how = "sum over runs of the time their jobs took"
    add("train_hours", seconds / 3600, formats.hours, how, unit="h", text=formats.hours(seconds))
    if (busy := study.measured("gpu_s")) is not None:
        how = "time of GPUs that all attempts at the runs took; runs side by side on one share its time"
        add("gpu_hours", busy / 3600, formats.hours, how, unit="h", text=formats.hours(busy))
    if (joules := study.measured("energy_joules")) is not None:
        how = "what the devices drew while runs trained, where they tell"
        add("energy", joules / 3.6e6, formats.energy, how, unit="kWh")
    add("computed", str(newest["execution"].get("ended", "")), formats.date, "day on which the newest run ended")
    git = newest.get("git", {})
    how = "commit of the code that computed the newest run"
    add("commit", git.get("commit") or "", formats.commit, how, text=formats.commit(git))
    audit = audited.outcome(study)
    how = "cells that an audit trained again from nothing, each with one seed, and found the same"
    add("audit", audit.reproduced if audit else None, str, how, text=audited.words(audit))
    add("devices", devices, enumerate_words, "devices the runs report")
    add("torch", torch, enumerate_words, "versions of PyTorch the runs report")
    how = "switches of the protocol that the study does not leave at the corrected value"
    add("switched", list(study.index.get("switched", {})), enumerate_words, how, config="protocol")
    resamples = int(evaluation.get("bootstrap", 0))
    how = "resamples of the test cases"
    add("bootstrap", resamples, formats.count, how, "resamples", config="evaluation.bootstrap")
    add("level", study.level, formats.percent, "level of the intervals", config="evaluation.level")


def _add_settings(registry: Registry, study: Study) -> None:
    """training/FIELD and model/FIELD: what the specs of runs in tables say, `a to b` or a list where they differ."""
    specs = [run["spec"] for run in tabled_runs(study)]
    for section, name in (("training", "training"), ("model_options", "model")):
        found: dict[str, list[Any]] = {}
        for spec in specs:
            for field, value in spec.get(section, {}).items():
                if isinstance(value, str | int | float | bool) and value not in found.setdefault(field, []):
                    found[field].append(value)
        for field, values in found.items():
            line = study.line(f"{name}.{field}")
            how = f"{section}.{field} of the specs of all runs in tables"
            raw = values if len(values) > 1 else values[0]
            at = key(name, field)
            value = Value(raw, _settings(values), f"value:{at}", how, "values", config=line, format="setting")
            registry.add(at, value)


def _settings(values: list[Any]) -> str:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if len(values) == 1 or not numbers:
        return " or ".join(formats.setting(value) for value in values)
    return f"{formats.setting(min(values))} to {formats.setting(max(values))}"


def _add_datasets(registry: Registry, study: Study) -> None:
    for name, card in study.cards.items():
        words = {"title": study.title(name), "licence": card.get("licence") or "not stated"}
        numbers = {split: (card["n"][split], "cases") for split in ("train", "val", "test")}
        numbers |= {"classes": (len(card["classes"]), "classes"), "channels": (card["channels"], "channels")}
        numbers |= {"size": (card["size"], "pixels")}
        facts: Iterable[tuple[str, Any, str, str, str]] = [
            *((field, text, text, "text", "") for field, text in words.items()),
            *((field, number, formats.count(number), "count", unit) for field, (number, unit) in numbers.items()),
        ]
        config = study.line(f"datasets.{study.datasets[name].get('name', name)}")
        files = (f"{study.datasets[name]['folder']}/card.json",)
        for field, value, text, format, unit in facts:
            at, line = key("data", name, field), f"data:{key(name)}"
            how = f"{field} in the {'list of data sets' if field in words else 'data card'}"
            shown = Value(value, text, line, how, "prepare_data", unit, config=config, format=format, files=files)
            registry.add(at, shown)


def _add_cells(registry: Registry, study: Study) -> None:
    tables: dict[tuple[str, str, str], str] = {}
    for name, table in study.tables.items():
        for dataset, model, init, _ in study.cells_of(table):
            tables.setdefault((dataset, model, init), name)
    for (dataset, model, init), cells in study.cell_groups():
        table_name = tables[dataset, model, init]
        files = (f"metrics/{table_name}/{dataset}.cells.csv",)
        line = "cell:" + key(dataset, model, init)
        for cell in cells:
            for suffix, value, how in _statistics(cell, study):
                finite = math.isfinite(value)
                if suffix and not finite:
                    continue  # one seed has no spread; the key is absent so that nobody prints it
                registry.add(
                    "/".join(filter(None, (key(cell.metric, dataset, model, init), suffix))),
                    Value(
                        value if finite else None,
                        formats.score(value),
                        line,
                        how,
                        "evaluate",
                        n=cell.cases,
                        runs=cell.runs,
                        config=study.line(f"tables.{table_name}"),
                        format="score",
                        files=files,
                    ),
                )


def _statistics(cell: Cell, study: Study) -> list[tuple[str, float, str]]:
    metric = metric_name(cell.metric)
    seeds = f"{cell.seeds} seed" + ("s" if cell.seeds > 1 else "")
    resamples = study.index.get("evaluation", {}).get("bootstrap", "?")
    bootstrap = f"percentile bootstrap over test cases ({resamples} resamples, level {study.level:g})"
    interval = f"{bootstrap} of the mean over {seeds}"
    return [
        ("", cell.mean, f"{metric} on the test split, mean over {seeds}"),
        ("std", cell.std, f"sample standard deviation of {metric} over {seeds}"),
        ("low", cell.low, f"lower end: {interval}"),
        ("high", cell.high, f"upper end: {interval}"),
    ]


#: each adds its own values and needs those of no other
PARTS = (
    _add_study,
    add_tables,
    _add_settings,
    _add_datasets,
    _add_cells,
    add_profile,
    add_findings,
    add_reported,
    add_uplifts,
    add_verdicts,
    add_switches,
)


def build(study: Study) -> Registry:
    """The registry of a finished study."""
    registry = Registry()
    for add in PARTS:
        add(registry, study)
    return registry
