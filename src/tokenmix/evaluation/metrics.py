"""Classification metrics of weighted cases: one weight per case and column, many columns at once.

A weight is how often a case is drawn, so that the columns of a weight matrix are the resamples of a
bootstrap and a single column of ones gives the plain metric. Weights are whole numbers and every sum is
taken over whole numbers below 2**24 (float32) or 2**53 (float64): the results do not depend on the order of
summation, the number of threads or the linear algebra library.

Definitions (all equal to scikit-learn's where that is defined):

accuracy            share of cases whose class of highest score is the true one; multi-label: share of the
                    right decisions at 0.5 over all labels (as the MedMNIST benchmark counts)
balanced_accuracy   recall per class, mean over the classes that occur; multi-label: of each label, their mean
auc                 area under the ROC curve, one class against the rest, mean over the classes that have
                    cases on both sides; binary: the positive class; ties count one half
f1                  F1 per class, mean over the classes that occur or are predicted; multi-label: per label
kappa               ordinal tasks only: Cohen's kappa with quadratic weights
"""

import numpy as np

from tokenmix.evaluation.auc import RankedScores

#: binary and multi-class labels are class numbers (N,); multi-label ones are 0 or 1 (N, L)
TASKS = ("binary", "multi-class", "ordinal", "multi-label")

Metrics = dict[str, np.ndarray]


def metric_names(task: str) -> tuple[str, ...]:
    """The metrics of a task, in the order of the tables."""
    names = ("accuracy", "balanced_accuracy", "auc", "f1")
    return (*names, "kappa") if task == "ordinal" else names


class Scorer:
    """The metrics of one run's predictions as a function of the cases' weights."""

    def __init__(self, scores: np.ndarray, labels: np.ndarray, task: str) -> None:
        """Rank and count the predictions once.

        `scores` (N, K) are probabilities; `labels` (N,) class numbers or, for multi-label tasks, (N, K) zeros
        and ones. Raises ValueError where they do not fit each other.
        """
        _check(scores, labels, task)
        self.task = task
        self.classes = scores.shape[1]
        if task == "multi-label":
            truth = labels.astype(bool)
            predicted = scores >= 0.5
        else:
            truth = labels[:, None] == np.arange(self.classes)
            predicted = scores.argmax(axis=1)[:, None] == np.arange(self.classes)
        # every metric but the AUC is a function of these sums over cases, taken as one matrix product
        columns = [truth & predicted, truth, predicted]
        if task == "ordinal":
            columns.append(((labels - scores.argmax(axis=1)) ** 2)[:, None])
        self._counted = np.concatenate([column.astype(np.float32) for column in columns], axis=1)
        ranked = [1] if task == "binary" else range(self.classes)
        self._ranked = [RankedScores(scores[:, k], truth[:, k]) for k in ranked]

    def __call__(self, weights: np.ndarray) -> Metrics:
        """Metrics (B,) for float32 weights (N, B); NaN where a metric is not defined for a column."""
        sums = (weights.T @ self._counted).astype(np.float64)
        hits, true, predicted = (sums[:, i * self.classes : (i + 1) * self.classes] for i in range(3))
        total = weights.sum(axis=0, dtype=np.float64)
        count = _multi_label if self.task == "multi-label" else _multi_class
        values = count(hits, true, predicted, total)
        areas = np.stack([ranked.area(weights) for ranked in self._ranked], axis=1)
        values["auc"] = mean_over(areas, ~np.isnan(areas))
        values["f1"] = mean_over(_ratio(2 * hits, true + predicted), true + predicted > 0)
        if self.task == "ordinal":
            values["kappa"] = _quadratic_kappa(sums[:, -1], true, predicted, total)
        return values

    def confusion(self) -> np.ndarray:
        """Cases (K, K) by true (row) and predicted class (column), for tasks whose classes exclude each other."""
        truth, predicted = (self._counted[:, i * self.classes : (i + 1) * self.classes] for i in (1, 2))
        return (truth.T @ predicted).astype(np.int64)


def mean_over(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean (B,) of `values` (B, K) over the entries `present` (B, K); NaN where there is none."""
    return _ratio(np.where(present, values, 0.0).sum(axis=1), present.sum(axis=1))


def _check(scores: np.ndarray, labels: np.ndarray, task: str) -> None:
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; known: {', '.join(TASKS)}")
    expected = scores.shape if task == "multi-label" else scores.shape[:1]
    if scores.ndim != 2 or labels.shape != expected:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} do not fit a {task} task")
    if not len(scores):
        raise ValueError("there is no case")
    if task == "binary" and scores.shape[1] != 2:
        raise ValueError(f"a binary task has scores of two classes, not {scores.shape[1]}")
    if not np.isfinite(scores).all():
        broken = int((~np.isfinite(scores)).any(axis=1).sum())
        raise ValueError(f"{broken} of {len(scores)} cases have scores that are not finite")
    highest = 1 if task == "multi-label" else scores.shape[1] - 1
    if labels.min() < 0 or labels.max() > highest:
        raise ValueError(f"labels run from {labels.min()} to {labels.max()}, expected 0 to {highest}")


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    result = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _multi_class(hits: np.ndarray, true: np.ndarray, predicted: np.ndarray, total: np.ndarray) -> Metrics:
    return {
        "accuracy": _ratio(hits.sum(axis=1), total),
        "balanced_accuracy": mean_over(_ratio(hits, true), true > 0),
    }


def _multi_label(hits: np.ndarray, true: np.ndarray, predicted: np.ndarray, total: np.ndarray) -> Metrics:
    absent = total[:, None] - true
    rejected = absent - predicted + hits
    recalls = np.stack([_ratio(hits, true), _ratio(rejected, absent)], axis=2)
    labels = recalls.shape[:2]
    balanced = mean_over(recalls.reshape(-1, 2), ~np.isnan(recalls.reshape(-1, 2))).reshape(labels)
    return {
        "accuracy": _ratio((hits + rejected).sum(axis=1), total * hits.shape[1]),
        "balanced_accuracy": balanced.mean(axis=1),
    }


def _quadratic_kappa(squares: np.ndarray, true: np.ndarray, predicted: np.ndarray, total: np.ndarray) -> np.ndarray:
    # expected squared distance of independent draws from both margins: E[t^2] - 2 E[t] E[p] + E[p^2]
    grades = np.arange(true.shape[1], dtype=np.float64)
    expected = (true @ grades**2 + predicted @ grades**2) * total - 2 * (true @ grades) * (predicted @ grades)
    return 1 - _ratio(squares * total, expected)
