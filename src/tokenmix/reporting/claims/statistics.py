"""Estimates, intervals and p-values of contrasts: weighted sums of cells' means, and their noise.

A contrast's variance has two parts. The test cases: the bootstrap of the evaluation gives a variance to every
mean and to every difference of two means in one table, hence their covariances; data sets are independent, and so,
to be on the safe side, are tables (scores on the same cases rise and fall together, so that the true noise of a
difference is smaller). The trainings: the variance over seeds, divided by their number. The two are added and the
number of seeds is accounted for by Student's t with Welch's degrees of freedom (Biometrika 34, 1947).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Estimate:
    """A contrast with its standard error and degrees of freedom (infinite where only cases count)."""

    value: float
    error: float
    freedom: float

    def interval(self, level: float) -> tuple[float, float]:
        """The two-sided interval at a level."""
        from scipy.stats import t

        reach = float(t.ppf((1 + level) / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach

    def p_above(self, threshold: float) -> float:
        """One-sided p-value of the hypothesis that the contrast is at most `threshold`."""
        from scipy.stats import t

        if self.error == 0:
            return 0.5 if self.value == threshold else float(self.value < threshold)
        return float(t.sf((self.value - threshold) / self.error, self.freedom))

    def p_below(self, threshold: float) -> float:
        """One-sided p-value of the hypothesis that the contrast is at least `threshold`."""
        return Estimate(-self.value, self.error, self.freedom).p_above(-threshold)


def error_of_interval(low: float, high: float, level: float) -> float:
    """The standard error behind a percentile interval: its width over that of a standard normal law."""
    return (high - low) / (2 * NormalDist().inv_cdf((1 + level) / 2))


def case_variance(
    weights: Mapping[Item, float], own: Mapping[Item, float], paired: Mapping[tuple[Item, Item], float]
) -> float:
    """Variance of a weighted sum from standard errors: of each mean, and of each difference of two paired means.

    The covariance of a pair is half of what the two variances exceed that of the difference by; a pair
    that is not in `paired` is independent. Where the weights add up to zero and all are paired, `own` cancels.
    """
    total = sum(weight**2 * own[item] ** 2 for item, weight in weights.items())
    for a, b in combinations(weights, 2):
        if (a, b) in paired:
            total += weights[a] * weights[b] * (own[a] ** 2 + own[b] ** 2 - paired[a, b] ** 2)
    return max(0.0, total)


def combine(value: float, cases: float, seeds: Sequence[tuple[float, int]]) -> Estimate:
    """The estimate of a contrast from its variance over cases and (variance, degrees of freedom) of its seeds."""
    noisy = [(variance, freedom) for variance, freedom in seeds if variance > 0]
    total = cases + sum(variance for variance, _ in noisy)
    uncertain = sum(variance**2 / freedom for variance, freedom in noisy)
    return Estimate(value, math.sqrt(total), total**2 / uncertain if uncertain else math.inf)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values adjusted for their number by Holm's step-down rule (Scand. J. Statist. 6, 1979)."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for done, (key, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - done) * p))
        adjusted[key] = highest
    return {key: adjusted[key] for key in p_values}
