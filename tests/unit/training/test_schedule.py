"""Learning rate and validations by epoch."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_runs import TRAINING

from tokenmix.training.plan import Protocol
from tokenmix.training.schedule import learning_rate, validates

STUDY = Protocol(**{**TRAINING, "lr": 1e-3, "min_lr": 1e-5, "warmup_lr": 1e-5, "warmup_epochs": 5})


def test_learning_rate_follows_the_closed_form() -> None:
    rates = [learning_rate(epoch, 50, STUDY) for epoch in range(50)]
    assert rates[:6] == pytest.approx([1e-5, 2.08e-4, 4.06e-4, 6.04e-4, 8.02e-4, 1e-3])
    assert rates[27] == pytest.approx(1e-5 + 9.9e-4 * math.cos(math.pi / 4) ** 2)  # the middle of the cosine
    assert rates[-1] == pytest.approx(1e-5)
    assert all(a > b for a, b in itertools.pairwise(rates[5:]))


def test_the_lag_delays_the_schedule_and_cuts_its_end() -> None:
    late = dataclasses.replace(STUDY, schedule_lag=True)
    rates = [learning_rate(epoch, 50, late) for epoch in range(50)]
    assert rates[:3] == pytest.approx([1e-5, 1e-5, 2.08e-4])
    assert rates[6] == pytest.approx(1e-3)
    # 43 epochs into a cosine of 50
    assert rates[-1] == pytest.approx(1e-5 + 9.9e-4 * math.cos(math.pi * 43 / 100) ** 2)


def test_a_run_of_one_epoch_after_the_warm_up_has_the_full_rate() -> None:
    assert learning_rate(5, 6, STUDY) == 1e-3


@settings(deadline=None, max_examples=50)
@given(epochs=st.integers(1, 700), validations=st.integers(1, 200))
def test_validations_are_evenly_spread_and_end_the_run(epochs: int, validations: int) -> None:
    chosen = [epoch for epoch in range(epochs) if validates(epoch, epochs, validations)]
    assert chosen[-1] == epochs - 1
    assert len(chosen) == min(epochs, validations)
    gaps = {b - a for a, b in itertools.pairwise(chosen)}
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


@pytest.mark.parametrize(
    ("images", "batch", "per_epoch", "epochs"),
    [(89996, 128, 703, 50), (546, 128, 4, 8750), (9, 16, 1, 35000)],
)
def test_epochs_reach_the_iterations_and_drop_incomplete_batches(images, batch, per_epoch, epochs) -> None:
    protocol = Protocol(**{**TRAINING, "iterations": 35000, "batch_size": batch})
    assert (protocol.iterations_per_epoch(images), protocol.epochs(images)) == (per_epoch, epochs)
