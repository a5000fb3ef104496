"""What the tables of a study hold, as values: mixers, baselines, seeds of a cell, runs, and those that diverged.

Runs that only show what a switch of the protocol is worth differ on purpose, and count in none of these.
"""

from collections.abc import Callable
from typing import Any

from tokenmix.reporting import formats
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import enumerate_words, model_name
from tokenmix.reporting.registry import Registry, Value


def tabled_runs(study: Study) -> list[dict[str, Any]]:
    """The attestations of the runs behind the tables."""
    planned = study.index["runs"]
    return [run for name, run in study.runs.items() if study.tables.keys() & set(planned[name]["tables"])]


def add_tables(registry: Registry, study: Study) -> None:
    """Add study/mixer_names, baseline_names, seeds, table_runs, diverged and remedied."""
    runs = tabled_runs(study)

    def add(
        name: str, value: Any, form: Callable[[Any], str], how: str, unit: str = "", config: str = "", text: str = ""
    ) -> None:
        line, at = f"value:study/{name}", study.line(config) if config else ""
        given = (value, text or form(value), line, how, "values", unit, len(runs))
        registry.add(f"study/{name}", Value(*given, config=at, format="text" if text else form.__name__))

    tables = study.tables.values()
    shown = [(model_name(model), model in table.baselines) for table in tables for model, _ in table.rows]
    mixers = list(dict.fromkeys(name.base for name, baseline in shown if not baseline))
    baselines = list(dict.fromkeys(name.label for name, baseline in shown if baseline))
    add("mixer_names", mixers, enumerate_words, "mixers of all tables, without kernels", config="tables")
    add("baseline_names", baselines, enumerate_words, "baselines of all tables, without kernels", config="tables")
    seeds = {cell.seeds for table in tables for cell in study.cells_of(table).values()}
    most = max(seeds, default=0)
    text = f"up to {most}" if len(seeds) > 1 else ""
    add("seeds", most, formats.count, "seeds of a cell, the most where tables differ", "seeds", "seeds", text)
    diverged = [run for run in runs if any(rung["status"] == "diverged" for rung in run["rungs"])]
    remedied = [run for run in diverged if run["status"] == "finished"]
    add("table_runs", len(runs), formats.count, "runs behind the tables of results", "runs", "tables")
    how = "runs behind the tables of which an attempt diverged, whatever became of the next"
    add("diverged", len(diverged), formats.count, how, "runs")
    add("remedied", len(remedied), formats.count, "those among them that finished under a remedy", "runs")
