"""The metrics that choose the checkpoint, against scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from tokenmix.training.metrics import validation_metrics


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 40))
@pytest.mark.filterwarnings("ignore")
def test_classes(seed: int, classes: int, cases: int) -> None:
    chance = np.random.default_rng(seed)
    scores = chance.random((cases, classes)).astype(np.float32)
    labels = chance.integers(0, classes, cases)
    found = validation_metrics(torch.from_numpy(scores), torch.from_numpy(labels))
    predicted = scores.argmax(axis=1)
    assert found["accuracy"].item() == pytest.approx(reference.accuracy_score(labels, predicted))
    assert found["f1_macro"].item() == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert found["balanced_accuracy"].item() == pytest.approx(reference.balanced_accuracy_score(labels, predicted))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 30))
@pytest.mark.filterwarnings("ignore")
def test_labels_of_a_multi_label_task(seed: int, labels: int, cases: int) -> None:
    chance = np.random.default_rng(seed)
    scores = np.where(chance.random((cases, labels)) < 0.5, 0.5, chance.random((cases, labels))).astype(np.float32)
    truth = chance.integers(0, 2, (cases, labels)).astype(np.uint8)
    found = validation_metrics(torch.from_numpy(scores), torch.from_numpy(truth))
    # as evaluation decides, `>=` counts: half of the scores are exactly there
    said = (scores >= 0.5).astype(int)
    per_label = [reference.balanced_accuracy_score(truth[:, k], said[:, k]) for k in range(labels)]
    f1 = [reference.f1_score(truth[:, k], said[:, k], zero_division=0) for k in range(labels)]
    assert found["accuracy"].item() == pytest.approx((said == truth).mean())
    assert found["balanced_accuracy"].item() == pytest.approx(np.mean(per_label))
    assert found["f1_macro"].item() == pytest.approx(np.mean(f1))
