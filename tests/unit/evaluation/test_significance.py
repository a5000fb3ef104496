"""Tests of differences against SciPy and closed forms, and Holm's correction against its definition."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tokenmix.evaluation.bootstrap import bootstrap, interval
from tokenmix.evaluation.metrics import Scorer
from tokenmix.evaluation.tests import holm, p_value

CASES = 400


def _two_models() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Binary labels, and the scores of the positive class of a better and a worse model."""
    generator = np.random.default_rng(3)
    labels = np.arange(CASES) % 2
    hidden = labels + generator.normal(scale=0.9, size=CASES)
    good, bad = (1 / (1 + np.exp(-(hidden - 0.5 + generator.normal(scale=s, size=CASES)))) for s in (0.4, 0.8))
    return labels, good, bad


def _difference(metric: str, number: int) -> tuple[float, np.ndarray]:
    labels, *models = _two_models()
    scorers = {
        name: Scorer(np.stack([1 - scores, scores], 1), labels, "binary")
        for name, scores in zip("ab", models, strict=True)
    }
    drawn = bootstrap(scorers, CASES, number, seed=7)
    point = [float(scorer(np.ones((CASES, 1), np.float32))[metric][0]) for scorer in scorers.values()]
    return point[0] - point[1], drawn["a"][metric] - drawn["b"][metric]


@pytest.mark.parametrize("metric", ["accuracy", "auc"])
def test_scipy_draws_the_same_resamples_and_finds_the_same_interval(metric: str) -> None:
    labels, good, bad = _two_models()

    def difference(y: np.ndarray, a: np.ndarray, b: np.ndarray, axis: int = -1) -> float:
        if metric == "auc":
            return roc_auc_score(y, a) - roc_auc_score(y, b)
        return ((a >= 0.5) == y).mean() - ((b >= 0.5) == y).mean()

    options = {"vectorized": False, "batch": 128, "confidence_level": 0.95, "method": "percentile"}
    expected = scipy.stats.bootstrap(
        (labels, good, bad), difference, paired=True, n_resamples=300, rng=np.random.default_rng(7), **options
    )
    point, drawn = _difference(metric, 300)
    assert point == pytest.approx(difference(labels, good, bad), abs=1e-12)
    np.testing.assert_allclose(drawn, expected.bootstrap_distribution, atol=1e-12)
    assert interval(drawn, 0.95) == pytest.approx(tuple(expected.confidence_interval), abs=1e-12)


def test_the_p_value_of_accuracy_is_the_closed_form() -> None:
    labels, good, bad = _two_models()
    one, other = ((scores >= 0.5) == labels for scores in (good, bad))
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    # the difference is a mean of -1, 0 and 1: its standard error is known (McNemar's setting)
    error = math.sqrt(only_one + only_other - (only_one - only_other) ** 2 / CASES)
    z = (only_one - only_other) / error
    point, drawn = _difference("accuracy", 5000)
    p = p_value(point, drawn)
    assert 1e-3 < p < 0.2  # neither certain nor hopeless
    assert scipy.stats.norm.isf(p / 2) == pytest.approx(z, rel=0.03)


def test_no_difference_is_as_often_significant_as_the_level_says() -> None:
    generator = np.random.default_rng(0)
    values = []
    for _ in range(400):
        gains = generator.normal(size=60)
        drawn = gains[generator.integers(60, size=(300, 60))].mean(axis=1)
        values.append(p_value(float(gains.mean()), drawn))
    # 400 trials at 0.05: a standard error of 0.011
    assert np.mean(np.array(values) < 0.05) == pytest.approx(0.05, abs=0.04)


def test_what_cannot_be_compared_has_no_p_value() -> None:
    assert math.isnan(p_value(math.nan, np.array([1.0, 2.0])))
    assert math.isnan(p_value(0.5, np.array([np.nan, np.nan, 1.0])))
    assert p_value(0.0, np.zeros(5)) == 1
    assert p_value(0.5, np.full(5, 0.5)) == 0


def test_holm_on_a_worked_example() -> None:
    # 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1, which may not undercut the step before it
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1, 1]
    assert holm([]) == []
    first, missing, second = holm([0.01, math.nan, 0.02])
    assert (first, second) == pytest.approx((0.02, 0.02))
    assert math.isnan(missing)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(deadline=None, max_examples=60)
def test_holm_rejects_what_its_step_down_rule_rejects(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        # the rule itself: from the smallest on, until one is too large for the number that is left
        for done, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if p_values[place] * (len(p_values) - done) > alpha:
                break
            rejected.add(place)
        assert {place for place, p in enumerate(adjusted) if p <= alpha} == rejected


def test_many_pairs_can_be_significant_with_few_resamples() -> None:
    # the share of resamples beyond zero could not tell 19 models apart: 171 pairs times 2 / 5000 is 0.07
    drawn = np.random.default_rng(1).normal(0.1, 0.01, size=5000)
    assert holm([p_value(0.1, drawn)] * 171)[0] < 1e-10
