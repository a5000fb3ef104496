"""Small prepared data sets, plans and trained runs for the tests of the training stage."""

import json
from pathlib import Path
from typing import Any

import numpy as np

RUN = "squares-28.xs-tttt-pooling3.scratch.s0.00000000"
TRAINING = {
    "iterations": 12,
    "batch_size": 16,
    "accumulation": 1,
    "lr": 2.0e-3,
    "weight_decay": 0.01,
    "warmup_epochs": 1,
    "warmup_lr": 1.0e-4,
    "min_lr": 1.0e-4,
    "label_smoothing": 0.1,
    "class_weights": "sqrt_inverse",
    "affine_std": 0.1,
    "precision": "fp32",
    "threads": 1,
    "compile": False,
    "channels_last": True,
    "selection": "f1_macro",
}


def make_data(
    folder: Path, *, train: int = 64, size: int = 28, channels: int = 1, labels: int = 0, dimensions: int = 2
) -> Path:
    """Write a prepared data set of bright squares (cubes) whose side of the image is the class.

    labels: number of labels of a multi-label task; 0 makes a task of three classes.
    """
    chance = np.random.default_rng(0)
    folder.mkdir(parents=True)
    names = [f"class {k}" for k in range(labels or 3)]
    counts, n = {}, {"train": train, "val": 21, "test": 19}
    for split, cases in n.items():
        images = chance.integers(0, 60, (cases, *(size,) * dimensions, channels), dtype=np.uint8)
        if labels:
            target = chance.integers(0, 2, (cases, labels), dtype=np.uint8)
        else:
            target = np.arange(cases) % 4 % 3  # the first class is twice as frequent
            for image, label in zip(images, target, strict=True):
                start = int(label) * size // 3
                middle = (slice(size // 3, 2 * size // 3),) * (dimensions - 1)
                image[(*middle, slice(start, start + size // 3))] += 150
        np.save(folder / f"{split}_images.npy", images)
        np.save(folder / f"{split}_labels.npy", target if labels else target.astype(np.int64))
        sums = target.sum(axis=0) if labels else np.bincount(target, minlength=3)
        counts[split] = dict(zip(names, sums.tolist(), strict=True))
    card = {
        "name": "squares",
        "size": size,
        "title": "Squares",
        "task": "multi-label" if labels else "multi-class",
        "classes": names,
        "channels": channels,
        "dimensions": dimensions,
        "n": n,
        "counts": counts,
        "mean": [0.17] * channels,
        "std": [0.2] * channels,
        "hash": "d" * 64,
    }
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def make_spec(model: str = "xs-tttt-pooling3", seed: int = 0, **training: Any) -> dict[str, Any]:
    """The spec of a run on `make_data`'s set."""
    return {
        "dataset": "squares",
        "size": 28,
        "model": model,
        "init": "scratch",
        "seed": seed,
        "training": {**TRAINING, **training},
        "model_options": {"drop_path": 0.1, "head_dim": 16, "layer_scale": 1e-5, "small_map_fallback": False},
    }


def make_plan(
    root: Path,
    *,
    model: str = "xs-tttt-pooling3",
    rungs: tuple[dict[str, Any], ...] = ({"mark": ""},),
    dimensions: int = 2,
    **training: Any,
) -> Path:
    """Write data (once) and the plan of one run below the project folder `root`; returns the plan file."""
    if not (root / "data" / "squares").exists():
        make_data(root / "data" / "squares", size=28 if dimensions == 2 else 14, dimensions=dimensions)
    plan = {
        "run": RUN,
        "spec": make_spec(model, **training),
        "rungs": list(rungs),
        "hashes": {"spec": "5" * 64, "data": "d" * 64, "code": "c" * 64},
        "data": {"hash": "d" * 64, "folder": "data/squares"},
        "code": {"hash": "c" * 64, "folder": "results/code/cccccccc"},
    }
    path = root / "results" / "plan" / f"{RUN}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plan))
    return path


def outputs(root: Path) -> dict[str, bytes]:
    """The published files of the run, `run.json` without `execution`."""
    folder = root / "results" / "runs" / RUN
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    attestation = json.loads(files["run.json"])
    del attestation["execution"]
    return {**files, "run.json": json.dumps(attestation, sort_keys=True).encode()}
