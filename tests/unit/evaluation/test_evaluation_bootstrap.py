"""The bootstrap: shared resamples, their distribution, and intervals."""

import numpy as np
import pytest

from tokenmix.evaluation import bootstrap as module
from tokenmix.evaluation.bootstrap import bootstrap, interval, resampled_weights
from tokenmix.evaluation.metrics import Scorer


def _scorer(seed: int, cases: int = 60, signal: float = 0.3) -> Scorer:
    generator = np.random.default_rng(seed)
    labels = np.arange(cases) % 3
    scores = generator.random((cases, 3)) + signal * (labels[:, None] == np.arange(3))
    return Scorer(scores, labels, "multi-class")


def test_every_resample_draws_as_many_cases_as_there_are() -> None:
    weights = np.concatenate(list(resampled_weights(50, 300, seed=3)), axis=1)
    assert weights.shape == (50, 300)
    assert (weights.sum(axis=0) == 50).all()
    # each count is binomial(50, 1/50): mean 1, variance 0.98; the bounds are 5 standard errors wide
    assert weights.mean() == pytest.approx(1)
    assert weights.var() == pytest.approx(0.98, abs=0.07)
    assert len({column.tobytes() for column in weights.T}) == 300


def test_resamples_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    once = np.concatenate(list(resampled_weights(20, 40, seed=1)), axis=1)
    monkeypatch.setattr(module, "BLOCK", 7)
    assert np.array_equal(np.concatenate(list(resampled_weights(20, 40, seed=1)), axis=1), once)


def test_runs_are_paired_and_independent_of_each_other() -> None:
    together = bootstrap({"a": _scorer(1), "b": _scorer(2), "twin": _scorer(1)}, 60, 200, seed=0)
    alone = bootstrap({"a": _scorer(1)}, 60, 200, seed=0)
    for metric in ("accuracy", "balanced_accuracy", "auc", "f1"):
        assert np.array_equal(together["a"][metric], together["twin"][metric])
        assert np.array_equal(together["a"][metric], alone["a"][metric])
    assert not np.array_equal(together["a"]["auc"], bootstrap({"a": _scorer(1)}, 60, 200, seed=1)["a"]["auc"])


def test_interval_of_accuracy_has_the_width_theory_says() -> None:
    cases = 2000
    labels = np.arange(cases) % 2
    scores = np.where((np.arange(cases) % 10 < 8)[:, None], np.eye(2)[labels], np.eye(2)[1 - labels])
    drawn = bootstrap({"run": Scorer(scores, labels, "binary")}, cases, 2000, seed=0)["run"]["accuracy"]
    low, high = interval(drawn, 0.95)
    half = 1.96 * np.sqrt(0.8 * 0.2 / cases)
    assert low == pytest.approx(0.8 - half, abs=0.1 * half)
    assert high == pytest.approx(0.8 + half, abs=0.1 * half)


def test_interval_leaves_out_resamples_without_a_value() -> None:
    values = np.append(np.arange(101.0), [np.nan, np.nan])
    assert interval(values, 0.9) == pytest.approx((5, 95))
    assert all(np.isnan(limit) for limit in interval(np.full(3, np.nan), 0.95))


def test_a_rare_class_may_vanish_from_a_resample() -> None:
    labels = np.array([0] * 20 + [1] * 20 + [2])
    scores = np.random.default_rng(0).random((41, 3))
    drawn = bootstrap({"run": Scorer(scores, labels, "multi-class")}, 41, 300, seed=0)["run"]
    absent = np.concatenate(list(resampled_weights(41, 300, seed=0)), axis=1)[40] == 0
    assert absent.sum() > 50  # about 37 % of the resamples lack the single case of class 2
    assert all(np.isfinite(values).all() for values in drawn.values())
