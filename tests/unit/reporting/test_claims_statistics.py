"""The statistics of claims against scipy, against resamples themselves, and against the evaluation's own correction."""

import math

import numpy as np
import pytest
from scipy import stats

from tokenmix.evaluation import tests as evaluation_tests
from tokenmix.reporting.claims.statistics import Estimate, case_variance, combine, error_of_interval, holm


@pytest.mark.parametrize("number", [2, 3, 10])
def test_seeds_alone_are_welchs_test(number: int) -> None:
    noise = np.random.default_rng(number)
    a, b = noise.normal(0.9, 0.01, number), noise.normal(0.88, 0.03, number + 1)
    seeds = [(float(x.var(ddof=1) / len(x)), len(x) - 1) for x in (a, b)]
    estimate = combine(float(a.mean() - b.mean()), 0.0, seeds)
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert 2 * min(estimate.p_above(0), estimate.p_below(0)) == pytest.approx(expected.pvalue)
    assert estimate.interval(0.9) == pytest.approx(tuple(expected.confidence_interval(0.9)))


def test_cases_alone_are_a_test_of_the_normal_law() -> None:
    estimate = combine(0.03, 0.01**2, [])
    assert estimate.p_above(0.01) == pytest.approx(stats.norm.sf(2))
    assert estimate.interval(0.95) == pytest.approx(stats.norm.interval(0.95, 0.03, 0.01))


def test_a_contrast_has_the_variance_of_its_resamples() -> None:
    """Whatever the weights: those of differences, those that do not cancel."""
    noise = np.random.default_rng(1)
    drawn = noise.normal(size=(400, 5)) @ noise.normal(size=(5, 5))
    own = {i: float(drawn[:, i].std(ddof=1)) for i in range(5)}
    paired = {(i, j): float((drawn[:, i] - drawn[:, j]).std(ddof=1)) for i in range(5) for j in range(5) if i != j}
    for weights in ([0.5, 0.5, 0, -1, 0], [1, -1, 0, 0, 0], [0.2] * 5, [1, 0, 0, 0, 0]):
        expected = (drawn @ np.array(weights)).var(ddof=1)
        assert case_variance(dict(enumerate(weights)), own, paired) == pytest.approx(expected)


def test_rows_that_were_not_compared_are_independent() -> None:
    assert case_variance({"a": 1.0, "b": -1.0}, {"a": 0.3, "b": 0.4}, {}) == pytest.approx(0.25)


def test_the_error_behind_an_interval() -> None:
    low, high = stats.norm.interval(0.9, 0.2, 0.013)
    assert error_of_interval(low, high, 0.9) == pytest.approx(0.013)


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_that_of_the_evaluation(seed: int) -> None:
    p_values = np.random.default_rng(seed).uniform(0, 0.2, 12).round(2).tolist()
    adjusted = holm({str(place): p for place, p in enumerate(p_values)})
    assert list(adjusted.values()) == pytest.approx(evaluation_tests.holm(p_values))


def test_equal_scores_decide_nothing_and_certain_ones_everything() -> None:
    certain = Estimate(0.02, 0.0, math.inf)
    assert (certain.p_above(0.0), certain.p_above(0.02), certain.p_above(0.1)) == (0.0, 0.5, 1.0)
