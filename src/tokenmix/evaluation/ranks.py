"""Models ranked over data sets: by the rivals they beat, and by their places.

Two rankings stand side by side. The relative rank is that of the published study (after the Learn2Reg
challenge): on each data set a model gets a point for each rival it beats significantly, points
become values from 0.1 to 1, and these are averaged geometrically over the data sets. The average rank takes the
plain places, with Friedman's test and Nemenyi's critical difference (Demsar, JMLR 7, 2006, section 3.2.2).
"""

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Model = TypeVar("Model", bound=Hashable)

#: lowest and highest relative rank
LOWEST, HIGHEST = 0.1, 1.0


def ascending_ranks(values: Sequence[float]) -> list[float]:
    """Places from 1 (the smallest) on; equal values share the mean of theirs."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]


def relative_ranks(wins: Sequence[float]) -> list[float]:
    """Values from 0.1 (fewest wins) to 1 (most), evenly spaced over the places, ties averaged; NaN without a rival."""
    if len(wins) < 2:
        return [math.nan] * len(wins)
    step = (HIGHEST - LOWEST) / (len(wins) - 1)
    return [LOWEST + step * (place - 1) for place in ascending_ranks(wins)]


def places(means: Sequence[float]) -> list[float]:
    """Places from 1 (the highest mean) on; ties averaged."""
    return ascending_ranks([-mean for mean in means])


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean of relative ranks, those that are not defined left out; NaN where none is."""
    defined = [value for value in values if not math.isnan(value)]
    return statistics.geometric_mean(defined) if defined else math.nan


def friedman(ranks: Sequence[Sequence[float]]) -> float:
    """p-value of Friedman's test that all models are alike; `ranks[j]` are the places on data set j, ties averaged.

    The chi-squared form with the correction for ties (Conover 1999, section 5.8). NaN for fewer than two models.
    """
    from scipy.special import chdtrc

    blocks, models = len(ranks), len(ranks[0]) if ranks else 0
    if models < 2:
        return math.nan
    centre = blocks * (models + 1) / 2
    between = sum((sum(block[place] for block in ranks) - centre) ** 2 for place in range(models))
    within = sum(rank**2 for block in ranks for rank in block) - blocks * models * (models + 1) ** 2 / 4
    return float(chdtrc(models - 1, (models - 1) * between / within)) if within > 0 else 1.0


def critical_difference(models: int, datasets: int, level: float) -> float:
    """Average ranks that lie further apart differ (Nemenyi): q sqrt(k (k + 1) / 6 N), q = studentized range / sqrt 2.

    NaN for fewer than two models or no data set.
    """
    from scipy.stats import studentized_range

    if models < 2 or datasets < 1:
        return math.nan
    q = float(studentized_range.ppf(level, models, math.inf)) / math.sqrt(2)
    return q * math.sqrt(models * (models + 1) / (6 * datasets))


def average_ranks(
    means: Sequence[Mapping[Model, float]],
) -> tuple[dict[Model, float], list[list[float]]]:
    """Average place of each model that takes part on every data set, and the places by data set.

    `means` holds {model: mean} for each data set. A model that is missing on one data set has no average to compare.
    """
    models = [model for model in (means[0] if means else ()) if all(model in column for column in means)]
    ranks = [places([column[model] for model in models]) for column in means]
    averages = {model: statistics.fmean(block[place] for block in ranks) for place, model in enumerate(models)}
    return averages, ranks
