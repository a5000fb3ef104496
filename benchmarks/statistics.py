"""The statistics of a whole study: 15 models, 5 data sets, 3 seeds, 5,000 resamples, all pairs, Holm, ranks.

    python -m benchmarks.statistics [--resamples 256] [--seeds 1]

Stated: under 180 s on two cores. Predictions are drawn with the numbers of test cases and classes of the published
study. By default fewer resamples and one seed are measured, and the whole is extrapolated: the time is proportional to
both, as `--resamples 5000 --seeds 3` shows. The peer is scikit-learn, one resample and one metric after the other.
"""

import argparse
import time

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score

from tokenmix.evaluation.bootstrap import resampled_weights
from tokenmix.evaluation.cells import evaluate
from tokenmix.evaluation.metrics import Scorer
from tokenmix.evaluation.predictions import DatasetRuns, EvaluatedRun
from tokenmix.evaluation.ranks import average_ranks, critical_difference, friedman, relative_ranks

#: data set -> test cases, classes
DATASETS = {
    "organsmnist": (8827, 11), "pathmnist": (7180, 9), "imagewoof": (3929, 10), "dermamnist": (2005, 7),
    "pneumoniamnist": (624, 2),
}  # fmt: skip
MODELS, SEEDS, RESAMPLES, STATED = 15, 3, 5000, 180


def predictions(cases: int, classes: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (cases, classes) of a model that is right about as often as those of the study, and the labels."""
    labels = np.random.default_rng(0).integers(classes, size=cases)
    logits = np.random.default_rng(number + 1).normal(size=(cases, classes))
    logits += (2 + number / 50) * (labels[:, None] == np.arange(classes))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return scores.astype(np.float32), labels


def dataset_runs(name: str, seeds: int) -> DatasetRuns:
    """The runs of one data set as `tokenmix evaluate` reads them."""
    cases, classes = DATASETS[name]
    task = "binary" if classes == 2 else "multi-class"
    runs = []
    for model in range(MODELS):
        for seed in range(seeds):
            scorer = Scorer(*predictions(cases, classes, MODELS * seed + model), task)
            runs.append(EvaluatedRun(f"m{model}.s{seed}", f"m{model}", "scratch", seed, "finished", "", "", scorer))
    return DatasetRuns(name, task, cases, runs)


def peer(name: str, resamples: int = 3) -> float:
    """Seconds that scikit-learn needs for one run and resample."""
    cases, classes = DATASETS[name]
    scores, labels = predictions(cases, classes, 0)
    (weights,) = resampled_weights(cases, resamples, seed=0)
    start = time.perf_counter()
    for column in weights.T:
        drawn = np.repeat(np.arange(cases), column.astype(int))
        truth, guess = labels[drawn], scores[drawn].argmax(axis=1)
        accuracy_score(truth, guess)
        balanced_accuracy_score(truth, guess)
        f1_score(truth, guess, average="macro")
        shares = scores[drawn].astype(np.float64)
        shares /= shares.sum(axis=1, keepdims=True)
        roc_auc_score(truth, shares[:, 1] if classes == 2 else shares, multi_class="ovr")
    return (time.perf_counter() - start) / resamples


def main() -> None:
    """Print the seconds of each data set, of the whole on one and two cores, and the ratio to the peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    share = options.resamples * options.seeds / (RESAMPLES * SEEDS)
    cores, others, means = [0.0, 0.0], 0.0, []
    for name, (cases, classes) in DATASETS.items():
        start = time.perf_counter()
        cells = evaluate(dataset_runs(name, options.seeds), options.resamples, seed=0, level=0.95).cells
        whole = (time.perf_counter() - start) / share
        means.append({cell["model"]: cell["mean"] for cell in cells if cell["metric"] == "auc"})
        cores[cores.index(min(cores))] += whole  # the next job goes to the core that is free first
        others += peer(name) * MODELS * SEEDS * RESAMPLES
        print(f"{name:15}{cases:6d} cases, {classes:2d} classes {whole:7.1f} s", flush=True)
    start = time.perf_counter()
    averages, places = average_ranks(means)
    friedman(places)
    critical_difference(len(averages), len(means), level=0.95)
    relative_ranks(list(averages.values()))
    print(f"ranks and critical difference {time.perf_counter() - start:14.1f} s")
    kind = "measured" if share == 1 else f"extrapolated from {share:.1%}"
    print(f"one core {sum(cores):.0f} s, two cores {max(cores):.0f} s, {kind} (stated: {STATED} s on two cores)")
    print(f"scikit-learn {others / 3600:.1f} h on one core: {others / sum(cores):.0f} times as long")


if __name__ == "__main__":
    main()
