"""What a training leaves behind for `tokenmix status`, and that nothing else depends on it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from training_runs import RUN, make_plan, outputs

from tokenmix.training import progress as module
from tokenmix.training.progress import FILE, Progress

ROW = {"epoch": 1, "iteration": 4, "lr": 0.1, "train_loss": 1.5, "val_loss": 1.0, "val_balanced_accuracy": 0.5}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still unless it is set."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    return clock


def training(iteration: int = 0) -> SimpleNamespace:
    """Ten epochs of four steps of 16 images."""
    protocol = SimpleNamespace(batch_size=8, accumulation=2, selection="f1_macro")
    return SimpleNamespace(
        protocol=protocol, train=range(64), iterations=40, epochs=10, per_epoch=4, iteration=iteration
    )


def written(folder: Path) -> dict:
    return json.loads((folder / FILE).read_text())


def test_it_tells_position_speed_and_time_left(tmp_path: Path, clock) -> None:
    progress = Progress("run", training(iteration=2), tmp_path)  # type: ignore[arg-type]
    assert (written(tmp_path)["iteration"], written(tmp_path)["seconds_left"]) == (2, None)
    clock.now += 2 * module.PAUSE
    progress.step(7)
    facts = written(tmp_path)
    assert (facts["epoch"], facts["epochs"], facts["iteration"], facts["iterations"]) == (2, 10, 7, 40)
    # five steps of 16 images in ten seconds, 33 steps to go
    assert (facts["images_per_second"], facts["seconds_left"]) == (8.0, 66.0)
    progress.validated({**ROW, "iteration": 8, "val_f1_macro": 0.25}, True, 99.0)
    facts = written(tmp_path)
    assert (facts["loss"], facts["score"], facts["selection"], facts["iteration"]) == (1.5, 0.25, "f1_macro", 8)


def test_steps_write_at_most_every_few_seconds(tmp_path: Path, clock) -> None:
    progress = Progress("run", training(), tmp_path)  # type: ignore[arg-type]
    seen = []
    for iteration in range(1, 41):
        clock.now += module.PAUSE / 10
        progress.step(iteration)
        seen.append(written(tmp_path)["iteration"])
    assert sorted(set(seen)) == [0, 10, 20, 30, 40]


def test_a_store_that_cannot_be_written_does_not_end_the_training(tmp_path: Path, clock) -> None:
    progress = Progress("run", training(), tmp_path / "missing")  # type: ignore[arg-type]
    clock.now += module.PAUSE
    progress.step(1)


def test_a_training_tells_its_end_and_its_outputs_do_not_depend_on_it(driver, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    codes, log = driver(make_plan(first))
    assert codes == [0], log
    facts = written(first / "results" / "store" / RUN)
    assert (facts["epoch"], facts["iteration"], facts["seconds_left"]) == (3, 12, 0.0)
    assert 0 <= facts["score"] <= 1 and facts["loss"] > 0
    plan = make_plan(second)
    # a folder in its place: nothing can be written
    (second / "results" / "store" / RUN / FILE / "x").mkdir(parents=True)
    codes, log = driver(plan)
    assert codes == [0], log
    assert outputs(first) == outputs(second)
