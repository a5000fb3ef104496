"""Every value of a study: cells, data sets, profile, protocol, findings."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenmix.files import pretty_json, write_atomic
from tokenmix.reporting import formats
from tokenmix.reporting.findings import add_findings, findings_tex, summary_tex
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import enumerate_words, metric_name
from tokenmix.reporting.profile_values import add_profile
from tokenmix.reporting.records import Cell
from tokenmix.reporting.registry import Registry, Value
from tokenmix.reporting.reported import add_reported
from tokenmix.reporting.screening import add_verdicts
from tokenmix.reporting.tex import key
from tokenmix.reporting.uplift import add_uplifts


def build(study: Study) -> Registry:
    """The registry of a finished study."""
    registry = Registry()
    _add_study(registry, study)
    _add_settings(registry, study)
    _add_datasets(registry, study)
    _add_cells(registry, study)
    add_profile(registry, study)
    add_findings(registry, study)
    add_reported(registry, study)
    add_uplifts(registry, study)
    add_verdicts(registry, study)
    return registry


def write(study: Study, out: Path) -> Registry:
    """Write values.json, values.tex, findings.tex, summary.tex and contents.tex to `out`."""
    registry = build(study)
    write_atomic(out / "values.json", pretty_json(registry.as_json()))
    write_atomic(out / "values.tex", registry.as_tex(phantoms=study.phantoms))
    write_atomic(out / "findings.tex", findings_tex(registry, study))
    write_atomic(out / "summary.tex", summary_tex(study))
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
    diverged = sum(run["status"] == "diverged" for run in runs.values())
    groups = {name for name, _ in study.cell_groups()}
    seeds = {entry["seed"] for entry in study.index["runs"].values()}
    models = {entry["model"] for entry in study.index["runs"].values()}
    cases = sum(int(card["n"]["test"]) for card in study.cards.values())
    evaluation = study.index.get("evaluation", {})
    devices = sorted({str(run["execution"].get("device") or "unknown device") for run in runs.values()})
    torch = sorted({str(run.get("libraries", {}).get("torch", "unknown")) for run in runs.values()})
    titles = [study.title(name) for name in study.datasets]

    def add(name: str, value: Any, text: str, how: str, unit: str = "", config: str = "") -> None:
        registry.add(
            f"study/{name}",
            Value(
                value,
                text,
                f"value:study/{name}",
                how,
                "values",
                unit=unit,
                n=len(runs),
                config=study.line(config),
            ),
        )

    add("name", study.name, study.name, "name in the config", config="study")
    add(
        "title",
        study.index.get("title") or study.name,
        study.index.get("title") or study.name,
        "title in the config",
        config="title",
    )
    add("runs", len(runs), formats.count(len(runs)), "trainings in the plan")
    add("cells", len(groups), formats.count(len(groups)), "combinations of data set, model and initialisation")
    add("seeds", len(seeds), formats.count(len(seeds)), "different seeds in the plan", config="seeds")
    add("models", len(models), formats.count(len(models)), "different models in the plan")
    add(
        "datasets",
        len(study.datasets),
        formats.count(len(study.datasets)),
        "data sets in the plan",
        config="datasets",
    )
    add("dataset_names", titles, enumerate_words(titles), "titles in the data cards", config="datasets")
    add("diverged", diverged, formats.count(diverged), "runs whose status is diverged")
    add("test_cases", cases, formats.count(cases), "cases of all test splits together")
    add(
        "train_hours",
        seconds / 3600,
        formats.hours(seconds),
        "sum over runs of the time their jobs took",
        unit="h",
    )
    on_gpu = [run["execution"] for run in runs.values() if not str(run["execution"].get("device")).startswith("CPU")]
    if on_gpu:
        busy = sum(float(execution.get("seconds") or 0) for execution in on_gpu)
        add("gpu_hours", busy / 3600, formats.hours(busy), "the same over runs on GPUs, of which several may share one")
    if (joules := study.energy()) is not None:
        text = f"{joules / 3.6e6:.2f}\u202fkWh"
        add("energy", joules / 3.6e6, text, "what the devices drew while runs trained, where they tell", unit="kWh")
    add(
        "computed",
        newest["execution"].get("ended", ""),
        formats.date(str(newest["execution"].get("ended", ""))),
        "day on which the newest run ended",
    )
    add(
        "commit",
        newest.get("git", {}).get("commit") or "",
        formats.commit(newest.get("git", {})),
        "commit of the code that computed the newest run",
    )
    add("devices", devices, enumerate_words(devices), "devices the runs report")
    add("torch", torch, enumerate_words(torch), "versions of PyTorch the runs report")
    add(
        "bootstrap",
        evaluation.get("bootstrap", 0),
        formats.count(int(evaluation.get("bootstrap", 0))),
        "resamples of the test cases",
        config="evaluation.bootstrap",
    )
    add(
        "level",
        study.level,
        formats.percent(study.level),
        "level of the intervals",
        config="evaluation.level",
    )


def _add_settings(registry: Registry, study: Study) -> None:
    """training/FIELD and model/FIELD: what the runs' specs say, `a to b` or a list where they differ."""
    for section, name in (("training", "training"), ("model_options", "model")):
        found: dict[str, list[Any]] = {}
        for run in study.runs.values():
            for field, value in run["spec"].get(section, {}).items():
                if isinstance(value, str | int | float | bool) and value not in found.setdefault(field, []):
                    found[field].append(value)
        for field, values in found.items():
            line = study.line(f"{name}.{field}")
            how = f"{section}.{field} of all runs' specs"
            raw = values if len(values) > 1 else values[0]
            at = key(name, field)
            registry.add(at, Value(raw, _settings(values), f"value:{at}", how, "values", config=line))


def _settings(values: list[Any]) -> str:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if len(values) == 1 or not numbers:
        return " or ".join(formats.setting(value) for value in values)
    return f"{formats.setting(min(values))} to {formats.setting(max(values))}"


def _add_datasets(registry: Registry, study: Study) -> None:
    for name, card in study.cards.items():
        facts: Iterable[tuple[str, Any, str]] = [
            ("title", study.title(name), study.title(name)),
            *((split, card["n"][split], formats.count(card["n"][split])) for split in ("train", "val", "test")),
            ("classes", len(card["classes"]), formats.count(len(card["classes"]))),
            ("channels", card["channels"], formats.count(card["channels"])),
            ("size", card["size"], formats.count(card["size"])),
            ("licence", card.get("licence") or "", card.get("licence") or "not stated"),
        ]
        for field, value, text in facts:
            registry.add(
                key("data", name, field),
                Value(
                    value,
                    text,
                    f"data:{key(name)}",
                    f"{field} in the data card",
                    "prepare",
                    config=study.line(f"datasets.{study.datasets[name].get('name', name)}"),
                ),
            )


def _add_cells(registry: Registry, study: Study) -> None:
    configs = {
        (dataset, *row): study.line(f"tables.{name}")
        for name, table in study.tables.items()
        for dataset in table.datasets
        for row in table.rows
    }
    for (dataset, model, init), cells in study.cell_groups():
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
                        config=configs.get((dataset, model, init), ""),
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
