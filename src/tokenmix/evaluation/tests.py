"""Are two models different? Tests of paired bootstrap differences, corrected for their number."""

import math
from collections.abc import Sequence

import numpy as np


def p_value(difference: float, drawn: np.ndarray) -> float:
    """Two-sided p-value of no difference: `difference` over its bootstrap standard error, against a normal law.

    `drawn` (B,) are the differences in the resamples; those that are not defined are left out. The share of
    resamples beyond zero would be a p-value as well, but never one below 2 / B, which 171 pairs of 19 models and 5,000
    resamples multiply to 0.07: after a correction nothing could be significant (Efron and Tibshirani 1993,
    chapters 12 and 16). NaN where the difference is not defined.
    """
    defined = drawn[~np.isnan(drawn)]
    if math.isnan(difference) or len(defined) < 2:
        return math.nan
    error = float(np.std(defined, ddof=1))
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return math.erfc(abs(difference) / error / math.sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number by Holm's step-down rule (Scand. J. Statist. 6, 1979); NaN takes no part."""
    adjusted = [math.nan] * len(p_values)
    order = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    highest = 0.0
    for done, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - done) * p))
        adjusted[place] = highest
    return adjusted
