"""Class weights and the loss."""

import pytest
import torch
import torch.nn.functional as F

from tokenmix.training.loss import Criterion, class_weights

#: cases of each class in the published training splits, and the weights that the reference study used for them
PUBLISHED = {
    "pathmnist": (
        [9366, 9509, 10360, 10401, 8006, 12182, 7886, 9401, 12885],
        [1.17291, 1.16406, 1.11523, 1.11303, 1.26863, 1.02845, 1.27824, 1.17073, 1.0],
    ),
    "dermamnist": (
        [228, 359, 769, 80, 779, 4693, 99],
        [4.53691, 3.61559, 2.47038, 7.65917, 2.45447, 1.0, 6.88508],
    ),
    "pneumoniamnist": ([1214, 3494], [1.69649, 1.0]),
    "organsmnist": (
        [1148, 630, 614, 721, 1132, 1119, 3464, 741, 803, 2004, 1556],
        [1.73707, 2.34487, 2.37522, 2.1919, 1.7493, 1.75943, 1.0, 2.16212, 2.07697, 1.31474, 1.49205],
    ),
    "nodulemnist3d": ([863, 295], [1.0, 1.71039]),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_class_weights_are_the_published_ones(name: str) -> None:
    counts, weights = PUBLISHED[name]
    assert class_weights(counts, "sqrt_inverse") == pytest.approx(weights, rel=1e-5)


def test_class_weights_are_clamped_and_can_be_off() -> None:
    assert class_weights([1, 10_000, 0], "sqrt_inverse") == [10.0, 1.0, 10.0]
    assert class_weights([1, 10_000], "none") == [1.0, 1.0]


def criterion(task: str, smoothing: float = 0.1) -> Criterion:
    card = {"task": task, "classes": ["a", "b", "c"], "counts": {"train": {"a": 90, "b": 40, "c": 10}}}
    return Criterion(card, "sqrt_inverse", smoothing, torch.device("cpu"))


def test_the_sum_over_the_weight_is_the_weighted_mean() -> None:
    logits, labels = torch.randn(20, 3), torch.randint(0, 3, (20,))
    loss = criterion("multi-class")
    mean = loss.loss_sum(logits, labels) / loss.total_weight(labels)
    expected = F.cross_entropy(logits, labels, weight=torch.tensor([1.0, 1.5, 3.0]), label_smoothing=0.1)
    torch.testing.assert_close(mean, expected)


def test_labels_of_a_multi_label_task_are_judged_one_by_one() -> None:
    logits, labels = torch.randn(20, 3), torch.randint(0, 2, (20, 3), dtype=torch.uint8)
    loss = criterion("multi-label")
    mean = loss.loss_sum(logits, labels) / loss.total_weight(labels)
    torch.testing.assert_close(mean, F.binary_cross_entropy(logits.sigmoid(), labels.float()))
    torch.testing.assert_close(loss.probabilities(logits), logits.sigmoid())
    torch.testing.assert_close(criterion("binary").probabilities(logits).sum(dim=1), torch.ones(20))
