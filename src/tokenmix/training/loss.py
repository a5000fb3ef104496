"""The loss of a task: weighted cross-entropy with label smoothing, or one binary cross-entropy per label."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

#: no class weighs more than this many times the most frequent one
LARGEST_WEIGHT = 10.0


def class_weights(counts: Sequence[int], rule: str) -> list[float]:
    """Weight of each class from its training cases.

    `sqrt_inverse`: sqrt(N / n_c) divided by the smallest, clamped at 10 (Keuth et al., arXiv 2510.05971); a class
    without cases gets the largest weight. `none`: 1.
    """
    if rule == "none":
        return [1.0] * len(counts)
    raw = [(sum(counts) / n) ** 0.5 if n else float("inf") for n in counts]
    return [min(value / min(raw), LARGEST_WEIGHT) for value in raw]


class Criterion:
    """Sum of a batch's loss and the total weight by which it is divided.

    Kept apart, so that the parts of an accumulated batch add up to the large batch exactly.
    """

    def __init__(self, card: Mapping[str, Any], rule: str, smoothing: float, device: torch.device) -> None:
        self.multi_label = card["task"] == "multi-label"
        counts = [card["counts"]["train"][name] for name in card["classes"]]
        # weights balance classes that exclude each other, so a multi-label task has none
        rule = "none" if self.multi_label else rule
        self.weights = torch.tensor(class_weights(counts, rule), dtype=torch.float32, device=device)
        self.smoothing = smoothing

    def total_weight(self, labels: torch.Tensor) -> torch.Tensor:
        """What `loss_sum` over these labels is divided by to give a mean."""
        if self.multi_label:
            return torch.full((), float(labels.numel()), device=labels.device)
        return self.weights.index_select(0, labels).sum()

    def loss_sum(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Loss of `(B, K)` float32 logits, summed over cases (and labels)."""
        if self.multi_label:
            return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum")
        return F.cross_entropy(logits, labels, weight=self.weights, label_smoothing=self.smoothing, reduction="sum")

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Scores in [0, 1]: softmax over classes, or a sigmoid for each label."""
        return logits.sigmoid() if self.multi_label else logits.softmax(dim=1)
