"""The training itself: exact resume, accumulation, divergence, what it reads and when."""

import dataclasses
import functools
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import make_data, make_spec

from tokenmix.data.batches import open_prepared
from tokenmix.training import engine
from tokenmix.training.engine import Training
from tokenmix.training.plan import Protocol

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return open_prepared(make_data(tmp_path_factory.mktemp("engine") / "squares"))


def make_training(
    prepared,
    model: str = "xs-tttt-identity",
    options: dict[str, Any] | None = None,
    device: str = "cpu",
    **training: Any,
) -> Training:
    spec = make_spec(model, **training)
    spec["model_options"].update(options or {})
    return Training(spec, Protocol(**spec["training"]), prepared, torch.device(device))


def train(training: Training, after_step=lambda training: None):
    return training.run(after_step, lambda *row: None)


def weights(training: Training) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in training.model.state_dict().values()]


def assert_equal(one: Training, two: Training) -> None:
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(two), strict=True))
    assert one.history == two.history and len(one.history) > 0
    assert (one.best.epoch, one.best.score) == (two.best.epoch, two.best.score)
    assert all(torch.equal(one.best.weights[name], two.best.weights[name]) for name in one.best.weights)


def train_and_save(training: Training, at: set[int]) -> list[bytes]:
    """Train to the end; returns the states after the steps `at`, as they lie in a file."""
    states = []

    def save(training: Training) -> None:
        if training.iteration in at:
            torch.save(training.state(), buffer := io.BytesIO())
            states.append(buffer.getvalue())

    assert train(training, save) is None
    return states


def go_on(training: Training, state: bytes) -> Training:
    torch.rand(7)  # whatever chance was used before
    training.load(torch.load(io.BytesIO(state), weights_only=True))
    train(training)
    return training


def test_a_state_of_any_step_leads_to_the_same_end(prepared) -> None:
    straight = make_training(prepared, iterations=8)
    states = train_and_save(straight, at=set(range(1, 9)))
    assert len(states) == 8
    for state in states:
        assert_equal(straight, go_on(make_training(prepared, iterations=8), state))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    return open_prepared(make_data(tmp_path_factory.mktemp("engine") / "cubes", size=14, dimensions=3))


@pytest.mark.parametrize("model", ["resnet18-k3", "xs-pptt-local_attn3", "xs-tttt-random_learned"])
def test_models_of_volumes_go_on_exactly_as_well(volumes, model: str) -> None:
    protocol = {"iterations": 4, "batch_size": 32}
    straight = make_training(volumes, model, **protocol)
    (state,) = train_and_save(straight, at={1})
    assert_equal(straight, go_on(make_training(volumes, model, **protocol), state))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", ["resnet18-k3", "xs-pptt-local_attn3", "xs-tttt-random_learned"])
def test_other_models_go_on_exactly_as_well(prepared, model: str, device: str) -> None:
    protocol = {"iterations": 4, "batch_size": 32, "device": device}
    straight = make_training(prepared, model, **protocol)
    (state,) = train_and_save(straight, at={1})
    assert_equal(straight, go_on(make_training(prepared, model, **protocol), state))


@needs_cuda
@pytest.mark.parametrize("model", ["resnet18-k3", "xs-tttt-pooling3", "xs-tttt-local_attn3", "xs-tttt-full_attn"])
def test_no_step_waits_for_the_device(prepared, model: str) -> None:
    training = make_training(prepared, model, device="cuda", precision="bf16", iterations=12, validations=1)

    def forbid_waiting(training: Training) -> None:
        # kernels are compiled in the first step; validation, behind the last, waits for its scores
        between = 1 <= training.iteration < training.iterations
        torch.cuda.set_sync_debug_mode("error" if between else "default")

    try:
        assert train(training, forbid_waiting) is None
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_another_seed_changes_weights_and_order(prepared) -> None:
    one, two = make_training(prepared, seed=0), make_training(prepared, seed=1)
    assert not torch.equal(one._order(0), two._order(0))
    assert any(not torch.equal(a, b) for a, b in zip(weights(one), weights(two), strict=True))
    assert not torch.equal(one._order(0), one._order(1))


def test_accumulation_equals_the_large_batch(prepared) -> None:
    still = {"affine_std": 0.0, "options": {"drop_path": 0.0}}
    large = make_training(prepared, batch_size=32, accumulation=1, **still)
    parts = make_training(prepared, batch_size=8, accumulation=4, **still)
    assert large.per_epoch == parts.per_epoch == 2
    for training in (large, parts):
        training.model.train()
        training._take_step(training._order(0), 1e-3)
    torch.testing.assert_close(parts.losses, large.losses)
    # after one step the first moment is the gradient, times 0.1
    for a, b in zip(parts.optimiser.means, large.optimiser.means, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_the_checkpoint_is_the_earliest_best_on_validation(prepared, monkeypatch) -> None:
    scores = iter([0.2, 0.7, 0.7, 0.4])
    monkeypatch.setattr(
        engine,
        "validation_metrics",
        lambda *_: dict.fromkeys(("accuracy", "balanced_accuracy", "f1_macro"), torch.tensor(next(scores))),
    )
    training = make_training(prepared, iterations=16)
    seen = []
    training.run(lambda t: None, lambda row, best, rate: seen.append((row["epoch"], best, weights(training))))
    assert [(epoch, best) for epoch, best, _ in seen] == [(1, True), (2, True), (3, False), (4, False)]
    assert training.best.epoch == 2 and training.best.iteration == 8
    assert all(torch.equal(a, b) for a, b in zip(training.best.weights.values(), seen[1][2], strict=True))


def test_selection_by_loss_takes_the_smallest(prepared) -> None:
    training = make_training(prepared, selection="loss")
    train(training)
    losses = [row["val_loss"] for row in training.history]
    assert training.best.epoch == 1 + losses.index(min(losses))


def test_training_losses_are_means_and_training_learns(prepared) -> None:
    training = make_training(prepared, "xs-tttt-pooling3", iterations=32)
    train(training)
    rows = training.history
    assert [row["iteration"] for row in rows] == [4, 8, 12, 16, 20, 24, 28, 32]
    assert rows[0]["train_loss"] == pytest.approx(1.1, abs=0.2)  # ln 3 before anything is learned
    assert training.best.score == pytest.approx(1.0)


def test_validation_keeps_its_last_batch(prepared) -> None:
    training = make_training(prepared)
    logits, labels = training.predict(training.val)
    assert len(logits) == len(labels) == 21
    alone, _ = make_training(prepared, batch_size=5).predict(training.val)
    torch.testing.assert_close(logits, alone)


def test_whole_batches_alone_can_pick_the_checkpoint(prepared, monkeypatch) -> None:
    metrics = engine.validation_metrics
    for batch, cases in {8: 16, 21: 21, 64: 21}.items():  # of 21 cases; all where not even one batch is whole
        judged = []

        def counted(scores: torch.Tensor, labels: torch.Tensor, judged: list[int] = judged) -> dict[str, torch.Tensor]:
            judged.append(len(scores))
            return metrics(scores, labels)

        monkeypatch.setattr(engine, "validation_metrics", counted)
        training = make_training(prepared, batch_size=batch, iterations=1, drop_last_validation=True)
        train(training)
        assert set(judged) == {cases} == {training.selection_cases}
        assert len(training.predict(training.val)[0]) == 21  # what is published stays whole
    assert make_training(prepared, batch_size=8).selection_cases == 21


@pytest.mark.parametrize(
    ("choice", "carved", "split"),
    [
        ("val", None, "val"),
        ("val", {"from": "train"}, "val"),
        ("test_without_val", None, "val"),
        ("test_without_val", {"from": "train"}, "test"),
        ("test", None, "test"),
    ],
)
def test_the_test_split_can_pick_the_checkpoint(prepared, choice: str, carved: Any, split: str) -> None:
    own = dataclasses.replace(prepared, card={**prepared.card, "carved": carved})
    training = make_training(own, selection_split=choice)
    assert (training.selected_on, training.selection_cases) == (split, {"val": 21, "test": 19}[split])
    assert train(training) is None
    training.model.load_state_dict(training.best.weights)
    logits, labels = training.predict(engine.DeviceSplit(own, split, training.device))
    score = engine.validation_metrics(training.criterion.probabilities(logits), labels)["f1_macro"]
    assert training.best.score == pytest.approx(score.item(), abs=1e-6)


def test_a_bad_step_never_enters_the_weights(prepared, monkeypatch) -> None:
    def poisoned(look_every: int) -> tuple[Training, Any]:
        monkeypatch.setattr(engine, "LOOK_EVERY", look_every)
        training = make_training(prepared, iterations=40)
        original = training.criterion.loss_sum

        def loss_sum(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            bad = training.model.training and training.iteration == 5  # the sixth step
            return original(logits, labels) * (torch.nan if bad else 1.0)

        training.criterion.loss_sum = loss_sum
        return training, train(training)

    sound = make_training(prepared, iterations=40)
    kept: list[list[torch.Tensor]] = []
    train(sound, lambda t: kept.append(weights(t)) if t.iteration == 5 else None)
    for look_every in (1, 3, 100):
        training, divergence = poisoned(look_every)
        assert divergence == (6, "the loss is not finite")
        # parameters stand where the fifth step left them, whenever the host looked
        assert all(torch.equal(a, b) for a, b in zip(weights(training), kept[0], strict=True))
        assert [row["epoch"] for row in training.history] == [1] and training.best.epoch == 1


def test_weights_that_are_not_finite_are_never_a_checkpoint(prepared) -> None:
    training = make_training(prepared)

    def break_weights(t: Training) -> None:
        if t.iteration == 8:
            next(iter(t.model.parameters())).data.view(-1)[0] = torch.inf

    divergence = train(training, break_weights)
    assert divergence is not None and divergence[0] == 8
    assert training.best.epoch == 1
    assert all(torch.isfinite(t).all() for t in training.best.weights.values())


def test_multi_label_tasks_train(tmp_path: Path) -> None:
    prepared = open_prepared(make_data(tmp_path / "labels", labels=4, channels=3))
    training = make_training(prepared, iterations=4)
    assert train(training) is None
    logits, labels = training.predict(training.val)
    assert logits.shape == labels.shape == (21, 4)


def test_reduced_precision_and_plain_layout_train(prepared) -> None:
    training = make_training(prepared, "xs-tttt-conv3", iterations=4, precision="bf16", channels_last=False)
    assert train(training) is None
    assert all(p.dtype == torch.float32 for p in training.model.parameters())


def test_compiled_training_learns_the_same_and_goes_on_exactly(prepared, monkeypatch) -> None:
    # the model is traced, forward and backward, as for any backend; generating code for it would take minutes
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager", fullgraph=True))
    # without drop path, whose chance a compiler may draw in its own way
    settings = {"options": {"drop_path": 0.0}, "iterations": 4, "batch_size": 32}
    eager = make_training(prepared, "xs-pptt-local_attn3", **settings)
    straight = make_training(prepared, "xs-pptt-local_attn3", compile=True, **settings)
    assert eager.forward is eager.model and straight.forward is not straight.model
    train(eager)
    (state,) = train_and_save(straight, at={1})
    for a, b in zip(weights(eager), weights(straight), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert_equal(straight, go_on(make_training(prepared, "xs-pptt-local_attn3", compile=True, **settings), state))
