"""Learning rate by epoch: linear warm-up, then half a cosine down to the smallest rate in the last epoch."""

import math

from tokenmix.training.plan import Protocol


def learning_rate(epoch: int, epochs: int, protocol: Protocol) -> float:
    """Rate of epoch `epoch` (from 0) of `epochs`.

    Epoch 0 runs at `warmup_lr`, epoch `warmup_epochs` at `lr`, and the last epoch at `min_lr`. With `schedule_lag` the
    schedule comes one epoch late, and the cosine is as long as the whole run, so that its end is cut off (Keuth et
    al., arXiv 2510.05971, public code).
    """
    warmup = protocol.warmup_epochs
    # a run with one epoch after the warm-up spends it at the full rate
    cosine = max(1, epochs - 1 - warmup)
    if protocol.schedule_lag:
        epoch, cosine = max(0, epoch - 1), epochs
    if epoch < warmup:
        return protocol.warmup_lr + (protocol.lr - protocol.warmup_lr) * epoch / warmup
    progress = (epoch - warmup) / cosine
    return protocol.min_lr + (protocol.lr - protocol.min_lr) * (1 + math.cos(math.pi * progress)) / 2


def validates(epoch: int, epochs: int, validations: int) -> bool:
    """Whether epoch `epoch` (from 0) ends with a validation: `validations` at most, even, always the last.

    Small sets run for hundreds of epochs of a few steps; validating after each would cost more than training.
    """
    return (epoch + 1) * validations // epochs > epoch * validations // epochs or epoch + 1 == epochs
