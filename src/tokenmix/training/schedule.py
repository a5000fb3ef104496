"""Learning rate by epoch: linear warm-up, then half a cosine down to the smallest rate in the last epoch."""

import math

from tokenmix.training.plan import Protocol


def learning_rate(epoch: int, epochs: int, protocol: Protocol) -> float:
    """Rate of epoch `epoch` (from 0) of `epochs`.

    Epoch 0 runs at `warmup_lr` and epoch `warmup_epochs` at `lr`. The reference applies its schedule
    one epoch late and cuts the cosine short (Keuth et al., arXiv 2510.05971); here the last epoch is at `min_lr`.
    """
    warmup = protocol.warmup_epochs
    if epoch < warmup:
        return protocol.warmup_lr + (protocol.lr - protocol.warmup_lr) * epoch / warmup
    # a run with one epoch after the warm-up spends it at the full rate
    progress = (epoch - warmup) / max(1, epochs - 1 - warmup)
    return protocol.min_lr + (protocol.lr - protocol.min_lr) * (1 + math.cos(math.pi * progress)) / 2


def validates(epoch: int, epochs: int, validations: int) -> bool:
    """Whether epoch `epoch` (from 0) ends with a validation: `validations` at most, even, always the last.

    Small sets run for hundreds of epochs of a few steps; validating after each would cost more than training.
    """
    return (epoch + 1) * validations // epochs > epoch * validations // epochs or epoch + 1 == epochs
