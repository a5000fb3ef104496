"""Confusion matrices against scikit-learn, summed over seeds."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from tokenmix.evaluation.confusion import confusion
from tokenmix.evaluation.metrics import Scorer
from tokenmix.evaluation.predictions import DatasetRuns, EvaluatedRun


def runs(task: str, labels: np.ndarray, scores: dict[tuple[str, str, int], np.ndarray]) -> DatasetRuns:
    made = [
        EvaluatedRun(f"{model}.{init}.{seed}", model, init, seed, "finished", "", "", Scorer(values, labels, task))
        for (model, init, seed), values in scores.items()
    ]
    return DatasetRuns("toy-28", task, len(labels), made)


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multi-class", 5), ("ordinal", 4)])
def test_each_cell_is_the_sum_of_scikit_learns_matrices(task: str, classes: int) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes - 1, 60)  # the last class has no case
    cells = [("a", "warm"), ("a", "cold"), ("b", "scratch")]
    scores = {(*cell, seed): generator.random((60, classes)).astype(np.float32) for cell in cells for seed in (0, 1)}
    found = {cell: np.zeros((classes, classes), int) for cell in cells}
    for row in confusion(runs(task, labels, scores)):
        assert row["cases"] > 0
        found[row["model"], row["init"]][row["true"], row["predicted"]] = row["cases"]
    for cell in cells:
        expected = [confusion_matrix(labels, scores[*cell, seed].argmax(1), labels=range(classes)) for seed in (0, 1)]
        assert np.array_equal(found[cell], sum(expected))


def test_labels_that_do_not_exclude_each_other_have_no_matrix() -> None:
    labels = np.array([[1, 0], [1, 1]], dtype=np.uint8)
    data = runs("multi-label", labels, {("a", "scratch", 0): np.full((2, 2), 0.7, np.float32)})
    assert list(confusion(data)) == []
