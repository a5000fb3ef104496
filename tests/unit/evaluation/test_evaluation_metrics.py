"""The metrics against scikit-learn: plain cases, ties, missing classes, and weighted cases."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tokenmix.evaluation.bootstrap import point_estimates
from tokenmix.evaluation.metrics import Scorer, metric_names

CASES = [
    ("binary", 2),
    ("multi-class", 3),
    ("multi-class", 11),
    ("ordinal", 5),
    ("multi-label", 4),
]


def make(task: str, classes: int, cases: int, seed: int, digits: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Scores that carry some signal; few `digits` make ties. All values are what float32 can hold."""
    generator = np.random.default_rng(seed)
    if task == "multi-label":
        labels = generator.integers(0, 2, (cases, classes)).astype(np.uint8)
        noise = generator.random((cases, classes))
        return np.round(0.3 * labels + 0.7 * noise, digits).astype(np.float32), labels
    labels = generator.integers(0, classes, cases)
    logits = generator.normal(size=(cases, classes)) + (labels[:, None] == np.arange(classes))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.round(scores, digits).astype(np.float32), labels


def one_against_rest(truth: np.ndarray, scores: np.ndarray) -> float:
    """scikit-learn's binary area of every column in which both sides occur, averaged."""
    mixed = [k for k in range(truth.shape[1]) if truth[:, k].any() and not truth[:, k].all()]
    if not mixed:
        return float("nan")
    return float(np.mean([sk.roc_auc_score(truth[:, k], scores[:, k]) for k in mixed]))


def reference(task: str, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if task == "multi-label":
            decided = (scores >= 0.5).astype(int)
            columns = range(labels.shape[1])
            return {
                "accuracy": np.mean([sk.accuracy_score(labels[:, k], decided[:, k]) for k in columns]),
                "balanced_accuracy": np.mean(
                    [sk.balanced_accuracy_score(labels[:, k], decided[:, k]) for k in columns]
                ),
                "auc": one_against_rest(labels, scores),
                "f1": sk.f1_score(labels, decided, average="macro", zero_division=np.nan),
            }
        decided = scores.argmax(axis=1)
        truth = labels[:, None] == np.arange(scores.shape[1])
        pair = (truth[:, 1:], scores[:, 1:]) if task == "binary" else (truth, scores)
        values = {
            "accuracy": sk.accuracy_score(labels, decided),
            "balanced_accuracy": sk.balanced_accuracy_score(labels, decided),
            "auc": one_against_rest(*pair),
            "f1": sk.f1_score(labels, decided, average="macro"),
        }
        if task == "ordinal":
            values["kappa"] = sk.cohen_kappa_score(
                labels, decided, labels=np.arange(scores.shape[1]), weights="quadratic"
            )
        return values


@pytest.mark.parametrize(("task", "classes"), CASES)
@pytest.mark.parametrize("digits", [6, 1], ids=["distinct", "ties"])
def test_metrics_equal_scikit_learn(task: str, classes: int, digits: int) -> None:
    scores, labels = make(task, classes, 157, seed=classes, digits=digits)
    ours = point_estimates(Scorer(scores, labels, task), len(labels))
    assert tuple(sorted(ours)) == tuple(sorted(metric_names(task)))
    for metric, expected in reference(task, scores, labels).items():
        assert ours[metric] == pytest.approx(expected, abs=1e-12), metric


def test_macro_auc_is_scikit_learns_one_versus_rest() -> None:
    scores, labels = make("multi-class", 6, 240, seed=1)
    scores = scores.astype(np.float64) / scores.sum(axis=1, keepdims=True, dtype=np.float64)
    expected = sk.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert point_estimates(Scorer(scores, labels, "multi-class"), 240)["auc"] == pytest.approx(expected, abs=1e-12)


def test_binary_scores_its_positive_class() -> None:
    # class 0 scored with ties only on its side: a mean over both columns would differ from the positive class
    scores = np.array([[0.5, 0.1], [0.5, 0.2], [0.5, 0.8], [0.5, 0.9]])
    values = point_estimates(Scorer(scores, np.array([0, 0, 1, 1]), "binary"), 4)
    assert values["auc"] == 1.0


def test_a_class_without_cases_counts_only_where_it_is_predicted() -> None:
    scores = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8]])
    labels = np.array([0, 1, 0, 1])  # class 2 has no case, yet the last case is given to it
    values = point_estimates(Scorer(scores, labels, "multi-class"), 4)
    for metric, expected in reference("multi-class", scores, labels).items():
        assert values[metric] == pytest.approx(expected, abs=1e-12), metric
    assert values["f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_area_of_a_single_class_is_not_defined() -> None:
    values = point_estimates(Scorer(np.array([[0.4, 0.6], [0.7, 0.3]]), np.array([1, 1]), "binary"), 2)
    assert np.isnan(values["auc"])
    assert values["accuracy"] == 0.5


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_weights_are_repetitions(data: st.DataObject) -> None:
    """A weight of n is the same as the case occurring n times, for every metric and any loss of classes."""
    task, classes = data.draw(st.sampled_from(CASES))
    cases = data.draw(st.integers(2, 24))
    scores, labels = make(task, classes, cases, data.draw(st.integers(0, 99)), data.draw(st.integers(1, 6)))
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=cases, max_size=cases)))
    if counts.sum() < 2:
        return
    weighted = Scorer(scores, labels, task)(counts[:, None].astype(np.float32))
    repeated = np.repeat(np.arange(cases), counts)
    expected = reference(task, scores[repeated], labels[repeated])
    for metric, value in expected.items():
        assert weighted[metric][0] == pytest.approx(value, abs=1e-12, nan_ok=True), metric


@pytest.mark.parametrize(
    ("scores", "labels", "task", "message"),
    [
        (np.full((3, 2), np.nan), np.zeros(3, int), "binary", "3 of 3 cases"),
        (np.zeros((3, 2)), np.array([0, 1, 2]), "binary", "expected 0 to 1"),
        (np.zeros((3, 2)), np.zeros(4, int), "multi-class", "do not fit"),
        (np.zeros((3, 2)), np.zeros(3, int), "multi-label", "do not fit"),
        (np.zeros((3, 4)), np.zeros(3, int), "binary", "two classes"),
        (np.zeros((0, 2)), np.zeros(0, int), "binary", "no case"),
        (np.zeros((3, 2)), np.zeros(3, int), "regression", "unknown task"),
    ],
)
def test_what_does_not_fit_is_refused(scores: np.ndarray, labels: np.ndarray, task: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scorer(scores, labels, task)
