"""A finished study made of invented numbers: all files that reporting reads, as earlier stages write them."""

import csv
import itertools
import json
import math
import random
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenmix.evaluation import rank_command
from tokenmix.evaluation.cells import PAIR_COLUMNS
from tokenmix.reporting import reported
from tokenmix.reporting.inputs import Study
from tokenmix.study.yaml_lines import read_yaml

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "paper" / "reported"
CONFIG = read_yaml(ROOT / "config.yaml", "config.yaml").value
METRICS = ("accuracy", "balanced_accuracy", "auc", "f1")
MODELS = (
    "xs-tttt-pooling3",
    "xs-tttt-conv3",
    "xs-tttt-sep_conv3",
    "xs-tttt-local_attn3",
    "xs-tttt-local_attn5",
    "xs-tttt-full_attn",
    "xs-tttt-identity",
    "resnet18-k3",
)
ALL_MODELS = (
    *(f"s12-tttt-{mixer}{kernel}" for mixer in ("pooling", "conv", "sep_conv", "local_attn") for kernel in (3, 5, 7)),
    *(f"s12-tttt-{mixer}" for mixer in ("full_attn", "identity", "random", "random_learned")),
    *(f"s12-tttt-{mixer}{kernel}" for mixer in ("wave_mix", "shift") for kernel in (3, 5, 7)),
    "s12-tttt-local_attn5+slopes",
    *(f"resnet18-k{kernel}" for kernel in (3, 5, 7)),
)


def make_study(
    root: Path,
    *,
    datasets: Sequence[str] = ("breastmnist", "pneumoniamnist"),
    models: Sequence[str] = MODELS,
    seeds: Sequence[int] = (0, 1, 2),
    diverged: Sequence[tuple[str, str]] = (("pneumoniamnist", "xs-tttt-local_attn5"),),
    titles: dict[str, str] | None = None,
    coinciding: Sequence[Sequence[str]] = (),
    phantoms: bool = False,
    tables: dict[str, dict[str, Any]] | None = None,
    profiled: bool = True,
    size: int = 28,
) -> Path:
    """Write the study below `root`, return its index's path; scores fall from the first model to the last."""
    noise = random.Random(0)
    results = root / "results"
    keys = {name: f"{name}-{size}" for name in datasets}
    index: dict[str, Any] = {
        "study": "fake",
        "title": "fake",
        "phantoms": phantoms,
        "results": str(results),
        "runs": {},
        "datasets": {
            key: {
                "name": name,
                "size": size,
                "kind": "medmnist",
                "folder": str(root / "data" / key),
                "hash": "d" * 64,
                "models": list(models),
                "coinciding": [[[model, "scratch"] for model in group] for group in coinciding],
            }
            for name, key in keys.items()
        },
        "tables": tables
        if tables is not None
        else {
            "classification_4t": {
                "caption": "",
                "datasets": list(keys.values()),
                "metrics": ["accuracy", "auc", "f1"],
                "scale": "xs",
                "arrangement": "tttt",
                "init": "scratch",
                "models": list(models),
                "rows": [[model, "scratch"] for model in models],
                "baselines": [model for model in models if model.startswith("resnet")],
            }
        },
        "remedies": {},
        "evaluation": {"bootstrap": 1000, "seed": 0, "level": 0.95, "correction": "holm"},
        "profile": {"mac_image_size": 768},
        "code": {},
        "config_lines": {
            # what config.yaml has, the study may leave out
            **{f"{section}.{name}": "config.yaml:1" for section in ("tables", "datasets") for name in CONFIG[section]},
            "tables.classification_4t": "workflow/studies/fake.yaml:12",
            "seeds": "config.yaml:7",
        },
    }
    for table in index["tables"].values():
        table.setdefault("ranked", table.get("datasets") or list(keys.values()))
    for name, key in keys.items():
        _card(root / "data" / key, name, (titles or {}).get(name, name), phantoms)
        cells = {}
        for place, model in enumerate(models):
            runs = []
            for seed in seeds:
                run = f"{key}.{model}.scratch.s{seed}.{noise.randrange(16**8):08x}"
                index["runs"][run] = {
                    "dataset": name,
                    "size": size,
                    "model": model,
                    "init": "scratch",
                    "seed": seed,
                    "tables": [
                        table
                        for table, entry in index["tables"].items()
                        if key in entry.get("datasets", [key]) and [model, "scratch"] in entry["rows"]
                    ],
                    "global_stages": [3, 4] if model.endswith("7") else [],
                }
                failed = (name, model) in diverged and seed == seeds[-1]
                _run(results, run, index["runs"][run], failed, noise)
                runs.append((run, seed, failed))
            cells[model] = [(0.92 - 0.012 * place + noise.gauss(0, 0.004), run) for run in runs]
        for table in index["tables"]:
            _metrics(results / "fake" / "metrics" / table, key, cells)
    if profiled:
        profile(results / "fake" / "profile", keys.values(), models)
    path = results / "plan" / "fake.0123abcd.json"
    _json(path, index)
    for table in index["tables"]:
        rank_command.run(Namespace(plan=path, table=table, out=results / "fake" / "metrics" / table))
    study = Study.open(path)
    reported.write(study, PUBLISHED, study.paper / "tables")
    return path


def open_study(root: Path, **options: Any) -> Study:
    """The same, opened."""
    return Study.open(make_study(root, **options))


def _json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _csv(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def rewrite(file: Path, **columns: Any) -> None:
    """Give all rows of a CSV file these values."""
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    _csv(file, [{**row, **columns} for row in rows])


def _card(folder: Path, name: str, title: str, phantom: bool) -> None:
    _json(folder / "card.json", {**card(name), "title": title, "phantom": phantom})


def card(name: str) -> dict[str, Any]:
    """A data card."""
    return {
        "name": name,
        "size": 28,
        "title": name,
        "task": "binary",
        "classes": ["malignant", "normal, benign"],
        "channels": 1,
        "dimensions": 2,
        "n": {"train": 4708, "val": 524, "test": 624},
        "counts": {"test": {"malignant": 234, "normal, benign": 390}},
        "mean": [0.5],
        "std": [0.2],
        "licence": "CC BY 4.0",
        "doi": "10.5281/zenodo.10519652",
        "source": {},
        "hash": "d" * 64,
        "phantom": False,
        "carved": None,
    }


def _run(results: Path, run: str, entry: dict[str, Any], failed: bool, noise: random.Random) -> None:
    folder = results / "runs" / run
    _json(folder / "run.json", attestation(run, entry, failed))
    rows = []
    for step in range(1, 11):
        score = 0.85 - 0.5 * math.exp(-step / 3) + noise.gauss(0, 0.01)
        rows.append(
            {
                "epoch": step,
                "iteration": step * 60,
                "lr": 0.001,
                "train_loss": 1,
                "val_loss": 1,
                "val_accuracy": score,
                "val_balanced_accuracy": score,
                "val_f1_macro": score,
                "selected": int(step == 8),
            }
        )
    _csv(folder / "history.csv", rows)


def attestation(run: str, entry: dict[str, Any], failed: bool = False) -> dict[str, Any]:
    """The run.json of a run with these fields of the study index."""
    day = 3 + entry["seed"]
    return {
        "run": run,
        "spec": {
            **{name: entry[name] for name in ("dataset", "size", "model", "init", "seed")},
            "training": {
                "iterations": 600,
                "batch_size": 128,
                "accumulation": 1,
                "lr": 0.001,
                "weight_decay": 0.01,
                "warmup_epochs": 5,
                "warmup_lr": 1e-5,
                "min_lr": 1e-5,
                "label_smoothing": 0.1,
                "class_weights": "sqrt_inverse",
                "affine_std": 0.06,
                "precision": "fp32",
                "threads": 1,
                "compile": False,
                "channels_last": True,
                "selection": "f1_macro",
            },
            "model_options": {
                "head_dim": 16,
                "drop_path": 0.1,
                "layer_scale": 1e-5,
                "small_map_fallback": False,
                "norm": "channel",
            },
        },
        "rungs": [
            {
                "rung": 0,
                "mark": "",
                "status": "diverged" if failed else "finished",
                "iterations": 600,
                "reason": "",
            }
        ],
        "status": "diverged" if failed else "finished",
        "mark": "",
        "best": {"rung": 0, "epoch": 40, "iteration": 400, "score": 0.8},
        "parameters": 700_000,
        "hashes": {"spec": "a" * 64, "data": "d" * 64, "code": "c0de" * 16},
        "git": {
            "commit": f"{entry['seed']}badcafe" * 5,
            "dirty": False,
            "date": "2026-01-01T00:00:00+00:00",
        },
        "libraries": {"torch": "2.15.0", "numpy": "2.4.0"},
        "outputs": {},
        "execution": {
            "host": "h",
            "device": "CPU: AMD EPYC 7763 64-Core Processor",
            "attempts": 1,
            "started": f"2026-02-0{day}T09:00:00+00:00",
            "ended": f"2026-02-0{day}T10:00:00+00:00",
            "seconds": 95.0,
        },
    }


def _metrics(folder: Path, key: str, cells: dict[str, list[tuple[float, tuple[str, int, bool]]]]) -> None:
    runs, means, pairs = [], [], []
    for number, metric in enumerate(METRICS):
        centre = {}
        for model, members in cells.items():
            # one noise for a cell and one for a seed, and each metric at its own height
            values = [value - 0.03 * number + 0.006 * (seed - 1) for value, (_, seed, _) in members]
            failed = any(diverged for _, (_, _, diverged) in members)
            for value, (_, (run, seed, diverged)) in zip(values, members, strict=True):
                runs.append(
                    {
                        "run": run,
                        "dataset": key,
                        "model": model,
                        "init": "scratch",
                        "seed": seed,
                        "status": "diverged" if diverged else "finished",
                        "mark": "",
                        "metric": metric,
                        "value": value,
                        "low": value - 0.03,
                        "high": value + 0.03,
                        "n": 624,
                    }
                )
            mean = sum(values) / len(values)
            centre[model] = mean
            spread = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
            means.append(
                {
                    "dataset": key,
                    "model": model,
                    "init": "scratch",
                    "metric": metric,
                    "mean": mean,
                    "std": math.sqrt(spread) if len(values) > 1 else math.nan,
                    "low": mean - 0.025,
                    "high": mean + 0.025,
                    "seeds": len(values),
                    "cases": 624,
                    "runs": ";".join(run for _, (run, _, _) in members),
                    "status": "diverged" if failed else "finished",
                    "mark": "",
                }
            )
        for a, b in itertools.combinations(cells, 2):
            difference = centre[a] - centre[b]
            pairs.append(
                {
                    "metric": metric,
                    "model_a": a,
                    "init_a": "scratch",
                    "model_b": b,
                    "init_b": "scratch",
                    "difference": difference,
                    "low": difference - 0.02,
                    "high": difference + 0.02,
                    "p": 0.5,
                    "p_holm": 1.0 if abs(difference) < 0.02 else 0.001,
                    "significant": int(abs(difference) > 0.02),
                }
            )
    _csv(folder / f"{key}.csv", runs)
    _csv(folder / f"{key}.cells.csv", means)
    shares = (((0, 0), 90), ((0, 1), 10), ((1, 0), 1), ((1, 1), 299))
    _csv(
        folder / f"{key}.confusion.csv",
        [
            {"model": model, "init": "scratch", "true": true, "predicted": predicted, "cases": cases}
            for model in cells
            for (true, predicted), cases in shares
        ],
    )
    _csv(
        folder / f"{key}.pairs.csv",
        pairs or [dict.fromkeys(PAIR_COLUMNS, 0)],
    )


def profile(folder: Path, keys: Any, models: Sequence[str]) -> None:
    """The three files of the profile."""
    _csv(
        folder / "models.csv",
        [
            {
                "model": model,
                "dataset": key,
                "size": 28,
                "channels": 1,
                "parameters": 11_402_176,
                "macs": 42_000_000 + place,
                "skipped": "",
            }
            for key in keys
            for place, model in enumerate(models)
        ],
    )
    mixers = []
    for stage, (dim, grid) in enumerate(((64, 192), (128, 96), (320, 48), (512, 24)), 1):
        tokens = grid * grid
        for kernel in (3, 5, 7, 9):
            costs = {
                "pooling": tokens * dim * kernel**2,
                "conv": tokens * dim**2 * kernel**2,
                "sep_conv": tokens * dim * kernel**2,
                "local_attn": tokens * (4 * dim**2 + 2 * dim * kernel**2),
            }
            for mixer, macs in costs.items():
                mixers.append(
                    {"mixer": mixer, "kernel": kernel, "stage": stage, "dim": dim, "grid": grid, "macs": macs}
                )
        for mixer, macs in (("full_attn", tokens * 4 * dim**2 + 2 * tokens**2 * dim), ("identity", 0)):
            mixers.append({"mixer": mixer, "kernel": "", "stage": stage, "dim": dim, "grid": grid, "macs": macs})
    _csv(folder / "mixers.csv", mixers)
    _csv(
        folder / "sizes.csv",
        [
            {"model": model, "image_size": size, "macs": (1.8e9 + place * 2e8) * (size / 224) ** 2}
            for place, model in enumerate(models)
            for size in (224, 384, 512, 768)
        ],
    )
