"""AdamW against PyTorch's own, and the step that must not enter the weights."""

import torch

from tokenmix.training.divergence import Watch
from tokenmix.training.optimiser import AdamW


def small_model() -> torch.nn.Module:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 5, 3), torch.nn.Flatten(), torch.nn.Linear(180, 3))
    return model.to(memory_format=torch.channels_last)


def test_it_is_pytorchs_adamw_bit_by_bit() -> None:
    ours, theirs = small_model(), small_model()
    own = AdamW(ours.parameters(), 0.05)
    reference = torch.optim.AdamW(theirs.parameters(), lr=1.0, weight_decay=0.05, fused=True)
    for step in range(5):
        x = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(step))
        rate = 1e-2 / (step + 1)
        ours(x).square().mean().backward()
        own.step(rate, skip=torch.zeros(()))
        own.clear_gradients()
        reference.param_groups[0]["lr"] = rate
        theirs(x).square().mean().backward()
        reference.step()
        reference.zero_grad()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_skipped_step_changes_nothing_at_all() -> None:
    model = small_model()
    optimiser = AdamW(model.parameters(), 0.05)
    model(torch.ones(1, 2, 8, 8)).sum().backward()
    optimiser.step(1e-2, skip=torch.zeros(()))
    before = [t.clone() for t in [*model.parameters(), *optimiser.means, *optimiser.squares, optimiser.steps]]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    optimiser.step(1e-2, skip=torch.ones(()))
    after = [*model.parameters(), *optimiser.means, *optimiser.squares, optimiser.steps]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_frozen_parameters_stay_and_parameters_without_gradient_are_left_out() -> None:
    model = small_model()
    model[0].bias.requires_grad_(False)
    optimiser = AdamW(model.parameters(), 0.5)
    used, unused = model[2].bias, model[0].weight
    before = unused.clone()
    used.grad = torch.ones_like(used)
    optimiser.step(1e-2, skip=torch.zeros(()))
    assert len(optimiser.parameters) == 3 and torch.equal(unused, before)


def test_the_watch_remembers_the_first_bad_step_and_its_cause() -> None:
    good, bad = torch.tensor(1.0), torch.tensor(torch.inf)
    watch = Watch(torch.device("cpu"))
    watch.check(1, good, good)
    assert watch.read() is None and watch.tripped == 0
    watch.check(2, good, bad)
    watch.check(3, bad, bad)
    watch.check(4, good, good)
    assert watch.read() == (2, "the norm of the gradient is not finite") and watch.tripped == 1
    other = Watch(torch.device("cpu"))
    other.load(watch.state())
    assert other.read() == watch.read() and other.tripped == 1
    fresh = Watch(torch.device("cpu"))
    fresh.check(7, torch.tensor(torch.nan), good)
    assert fresh.read() == (7, "the loss is not finite")
