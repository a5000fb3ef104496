"""Fuzzing within a budget of time: TOKENMIX_FUZZ_SECONDS for all targets together, the same examples each time.

A target draws examples in rounds; each round has its own fixed seed, and no new round starts once the target's
share of the time is used up. So a slow machine draws fewer examples, and what fails, fails again.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

#: seconds of all targets together; on two cores half of it passes
DEFAULT_SECONDS = 120
EXAMPLES = 20
#: an example that takes longer hangs
LONGEST = 20

Fuzz = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # damaged files make libraries warn in many words
    for item in items:
        if "fuzz" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Fuzz:
    """`fuzz(check, *strategies)`: calls `check` with drawn values, round after round, until the time is used up."""
    targets = sum("fuzz" in getattr(item, "fixturenames", ()) for item in request.session.items)
    share = float(os.environ.get("TOKENMIX_FUZZ_SECONDS", DEFAULT_SECONDS)) / max(1, targets)

    def run(check: Callable[..., Any], *strategies: SearchStrategy) -> None:
        end, number = time.monotonic() + share, 0
        while number == 0 or time.monotonic() < end:
            _round(check, strategies, number)
            number += 1

    return run


def _round(check: Callable[..., Any], strategies: tuple[SearchStrategy, ...], number: int) -> None:
    @seed(number)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*strategies))
    def examples(values: tuple) -> None:
        with _limited():
            check(*values)

    examples()


class Hangs(BaseException):
    """What no `except Exception` of the code under test swallows."""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hangs(f"no answer after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
