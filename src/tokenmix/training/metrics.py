"""Validation metrics on the device, for choosing the checkpoint. The paper's metrics are computed from the
published predictions by `tokenmix.evaluation`."""

import torch


def validation_metrics(scores: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Accuracy, balanced accuracy and macro F1 of `(N, K)` scores, as scalars on the device.

    labels: classes `(N,)`, or 0/1 `(N, L)` for a multi-label task, where a score of 0.5 or more says yes,
    accuracy is the mean over all labels of all cases, and the others are means over labels. As in
    scikit-learn, balanced accuracy averages over classes that occur, macro F1 over classes that occur or are
    predicted (multi-label: over all labels, F1 0 where a label neither occurs nor is predicted).
    """
    if labels.ndim == 2:
        return _multi_label(scores >= 0.5, labels > 0)
    predicted = scores.argmax(dim=1)
    classes = scores.shape[1]
    # rows: true class, columns: predicted class
    confusion = torch.bincount(labels * classes + predicted, minlength=classes * classes)
    confusion = confusion.reshape(classes, classes).to(torch.float64)
    hits, true, said = confusion.diagonal(), confusion.sum(dim=1), confusion.sum(dim=0)
    occurs, counts = true > 0, (true + said) > 0
    f1 = 2 * hits / (true + said).clamp(min=1)
    return {
        "accuracy": hits.sum() / true.sum(),
        "balanced_accuracy": (hits / true.clamp(min=1)).sum() / occurs.sum(),
        "f1_macro": f1.sum() / counts.sum(),
    }


def _multi_label(predicted: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    hits = (predicted & labels).sum(dim=0).to(torch.float64)
    rejected = (~predicted & ~labels).sum(dim=0).to(torch.float64)
    true, said = labels.sum(dim=0), predicted.sum(dim=0)
    negative = len(labels) - true
    sensitivity, specificity = hits / true.clamp(min=1), rejected / negative.clamp(min=1)
    present = (true > 0).to(torch.float64) + (negative > 0).to(torch.float64)
    return {
        "accuracy": (predicted == labels).to(torch.float64).mean(),
        "balanced_accuracy": ((sensitivity + specificity) / present).mean(),
        "f1_macro": (2 * hits / (true + said).clamp(min=1)).mean(),
    }
