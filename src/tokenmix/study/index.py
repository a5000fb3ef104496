"""The study index: what the workflow and every later stage ask about a study's runs, data sets and tables."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenmix.study.checkpoints import weights_file
from tokenmix.study.code import code_identity
from tokenmix.study.coincide import coinciding, global_stages
from tokenmix.study.config import Comparison, Config
from tokenmix.study.datahash import DataIdentity
from tokenmix.study.frozen import code_folder
from tokenmix.study.manuscript import ENDINGS
from tokenmix.study.published import SWITCHES, switched
from tokenmix.study.stages import stage_identities
from tokenmix.study.workbench import workbench

if TYPE_CHECKING:
    from tokenmix.study.plan import PlannedRun

#: training fields that an estimate of a study's cost needs
COST_FIELDS = ("iterations", "batch_size", "accumulation")
#: what trains a pack of runs; it is no part of any run's identity
PACKER = "tokenmix.training.pack"


def study_index(
    config: Config, runs: Mapping[str, "PlannedRun"], compared: Sequence[Mapping[str, Sequence[str]]], source: Path
) -> dict[str, Any]:
    """The content of the study index. compared: variant of the protocol -> its runs, of each comparison of switches."""
    datasets: dict[str, DataIdentity] = {}
    for run in runs.values():
        # the first: a switch may prepare a data set in another way
        datasets.setdefault(run.run.data, run.data)
    rows: dict[str, dict[tuple[str, str], None]] = {key: {} for key in datasets}
    for run in runs.values():
        rows[run.run.data][run.run.model, run.run.init] = None
    models = {key: list(dict.fromkeys(model for model, _ in rows[key])) for key in datasets}
    settings = config.model.model_dump()
    folder = config.data.folder
    stages = functools.cache(lambda model, size, dimensions: global_stages(model, size, settings, dimensions))
    return {
        "study": config.study,
        "protocol": [
            {
                **asdict(switch),
                "corrected": switch.corrected,
                "here": switched(config).get(switch.name, switch.corrected),
            }
            for switch in SWITCHES
        ],
        "switched": switched(config),
        "title": config.title or config.study,
        "phantoms": any(data.kind == "phantom" for data in datasets.values()),
        "results": config.results,
        "runs": {
            name: {**_run_entry(run, config), "global_stages": stages(run.run.model, run.run.size, run.data.dimensions)}
            for name, run in runs.items()
        },
        "datasets": {
            key: {
                "name": data.name,
                "size": data.size,
                "dimensions": data.dimensions,
                "channels": data.channels,
                "classes": data.classes,
                "kind": data.kind,
                "padding": data.padding,
                "folder": f"{folder}/{data.folder}",
                "hash": data.hash,
                "about": dict(data.about),
                "models": models[key],
                "coinciding": coinciding(rows[key], data.size, settings, data.dimensions),
            }
            for key, data in datasets.items()
        },
        "prepared": {
            run.data.folder: {"name": run.data.name, "size": run.data.size, "padding": run.data.padding}
            for run in runs.values()
        },
        "switches": [_comparison_entry(config, *pair) for pair in zip(config.comparisons, compared, strict=True)],
        "tables": {name: _table_entry(config, name) for name in config.chosen_tables},
        "remedies": _remedies(config),
        "evaluation": config.evaluation.model_dump(),
        "claims": config.claims.model_dump(),
        "manuscript": list(ENDINGS),
        "profile": config.profile.model_dump(),
        "model_options": {name: value for name, value in settings.items() if name != "warm_heads"},
        "execution": config.execution.model_dump(),
        "code": {
            stage: code.hash
            for stage, code in stage_identities({model for names in models.values() for model in names}, source).items()
        },
        "packer": code_folder(config.results, code_identity((PACKER,), source).hash).as_posix(),
        "workbench": code_folder(config.results, workbench(source).hash).as_posix(),
        "config_lines": dict(config.lines),
    }


def _run_entry(run: "PlannedRun", config: Config) -> dict[str, Any]:
    return {
        "dataset": run.run.dataset,
        "size": run.run.size,
        "dimensions": run.data.dimensions,
        "channels": run.data.channels,
        "model": run.run.model,
        "init": run.run.init,
        "seed": run.run.seed,
        "tables": list(run.run.tables),
        "data_folder": f"{config.data.folder}/{run.data.folder}",
        "code_folder": code_folder(config.results, run.code.hash).as_posix(),
        "weights": weights_file(config.data.folder, run.spec.weights["name"]) if run.spec.weights else "",
        **{name: run.spec.training[name] for name in (*COST_FIELDS, "threads")},
    }


def _remedies(config: Config) -> dict[str, str]:
    """Mark -> footnote of the remedies that a run of the study may use.

    A mark that has another footnote for another data set or table has none here: tables then show what was changed.
    """
    notes: dict[str, set[str]] = {}
    for table in config.chosen_tables:
        for dataset in config.datasets_of(table):
            divergence = config.training_for(dataset, table).divergence
            for rung in divergence.ladder if divergence.policy == "ladder" else ():
                notes.setdefault(rung.mark, set()).add(rung.note)
    return {mark: found.pop() for mark, found in notes.items() if len(found) == 1}


def _table_entry(config: Config, name: str) -> dict[str, Any]:
    table = config.tables[name]
    datasets = {dataset: f"{dataset}-{config.datasets[dataset].size}" for dataset in config.datasets_of(name)}
    # how its runs train stands in their own plans
    shown = table.model_dump(exclude={"training", "seeds"})
    rows = config.rows_of(name)
    return {
        **shown,
        "datasets": list(datasets.values()),
        "unranked": [key for dataset, key in datasets.items() if not config.datasets[dataset].ranked],
        "models": list(dict.fromkeys(model for model, _ in rows)),
        "rows": [list(row) for row in rows],
        "reused": [model for model, _ in rows if model not in table.models()],
    }


def _comparison_entry(config: Config, chosen: Comparison, behind: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {
        "dataset": f"{chosen.dataset}-{config.datasets[chosen.dataset].size}",
        "model": chosen.model,
        "init": chosen.init,
        "runs": {variant: list(runs) for variant, runs in behind.items()},
    }
