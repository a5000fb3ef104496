"""Local attention: exact, forward and backward, whichever way computes it."""

import math
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import flex_attention

from tokenmix.models.attention import dense, flex, op, rows

KERNELS = (3, 5, 7, 9)
GRIDS = ((1, 1), (1, 5), (2, 3), (7, 7), (9, 4), (14, 14), (2, 2, 2), (3, 1, 5), (4, 7, 5))


def reference(qkv: torch.Tensor, gradient: torch.Tensor, kernel: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Output and gradient of `qkv` in float64, with all pairs of tokens and a mask."""
    qkv = qkv.detach().double().requires_grad_()
    grid, depth = tuple(qkv.shape[1:-3]), qkv.shape[-1]
    places = torch.from_numpy(np.argwhere(np.ones(grid)))
    hidden = ((places[:, None] - places).abs() > kernel // 2).any(-1)
    q, k, v = (part.flatten(1, -3).transpose(1, 2) for part in qkv.unbind(-3))
    scores = (q @ k.transpose(2, 3) / math.sqrt(depth)).masked_fill(hidden, -math.inf)
    out = (scores.softmax(-1) @ v).transpose(1, 2).reshape(gradient.shape)
    (out * gradient.double()).sum().backward()
    return out.detach(), qkv.grad


def sample(grid, *, batch=3, heads=2, depth=16, scale=1.5, seed=0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    qkv = torch.randn(batch, *grid, 3, heads, depth, generator=generator) * scale
    return qkv, torch.randn(batch, *grid, heads, depth, generator=generator)


def assert_equal(given: tuple[torch.Tensor, torch.Tensor], expected: tuple[torch.Tensor, torch.Tensor], error: float):
    for value, wanted in zip(given, expected, strict=True):
        assert (value.double() - wanted).abs().max() <= error * max(1, wanted.abs().max())


def by_rows(qkv: torch.Tensor, gradient: torch.Tensor, kernel: int, threads: int = 1):
    out, saved = rows.forward(qkv.numpy(), kernel // 2, threads)
    result = rows.backward(qkv.numpy(), out, saved, gradient.numpy(), kernel // 2, threads)
    return torch.from_numpy(out), torch.from_numpy(result)


def by_dense(qkv: torch.Tensor, gradient: torch.Tensor, kernel: int):
    out, saved = dense.forward(qkv, kernel)
    return out, dense.backward(qkv, out, saved, gradient, kernel)


@pytest.mark.parametrize("way", [by_rows, by_dense])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_both_ways_are_exact(way, grid, kernel):
    qkv, gradient = sample(grid)
    assert_equal(way(qkv, gradient, kernel), reference(qkv, gradient, kernel), 2e-6)


@settings(deadline=None, max_examples=60)
@given(
    grid=st.lists(st.integers(1, 20), min_size=2, max_size=2) | st.lists(st.integers(1, 7), min_size=3, max_size=3),
    kernel=st.sampled_from((3, 5, 7, 9, 31)),
    batch=st.integers(1, 9), heads=st.integers(1, 3), depth=st.sampled_from((16, 32)),
    scale=st.sampled_from((0.0, 1.0, 8.0)), seed=st.integers(0, 9),
)  # fmt: skip
def test_rows_is_exact_on_any_shape(grid, kernel, batch, heads, depth, scale, seed):
    qkv, gradient = sample(grid, batch=batch, heads=heads, depth=depth, scale=scale, seed=seed)
    # scores of some hundreds are themselves rounded to 1e-5
    error = 5e-4 if scale > 1 else 3e-6
    assert_equal(by_rows(qkv, gradient, kernel), reference(qkv, gradient, kernel), error)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_operator_is_differentiable_and_exact(grid, kernel):
    qkv, gradient = sample(grid)
    qkv.requires_grad_()
    out = op.local_attention(qkv, kernel)
    out.backward(gradient)
    assert_equal((out, qkv.grad), reference(qkv, gradient, kernel), 2e-6)


@pytest.mark.parametrize(("grid", "kernel"), [((3, 2), 3), ((1, 3), 7), ((2, 3, 2), 3)])
def test_gradients_are_those_of_finite_differences(grid, kernel):
    qkv = torch.randn(1, *grid, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda qkv: op.local_attention(qkv, kernel), qkv)


@pytest.mark.parametrize(
    ("grid", "kernel", "rows_do_it"),
    [((14, 14), 3, True), ((7, 7), 9, False), ((7, 7, 7), 3, True), ((2, 2, 2), 3, False)],
)
def test_the_operator_meets_torchs_contract(grid, kernel, rows_do_it):
    qkv = sample(grid)[0].requires_grad_()
    assert op.prefers_rows(grid, kernel, 16, qkv.dtype) == rows_do_it
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.tokenmix.local_attention.default, (qkv, kernel), test_utils=tests)


@pytest.mark.parametrize("depth", [8, 20])
def test_head_dimensions_that_are_no_multiple_of_16(depth):
    qkv, gradient = sample((9, 4), depth=depth)
    qkv.requires_grad_()
    out = op.local_attention(qkv, 3)
    out.backward(gradient)
    assert_equal((out, qkv.grad), reference(qkv, gradient, 3), 2e-6)


def test_half_precision_keeps_its_type():
    for grid in ((14, 14), (3, 3)):
        qkv, gradient = sample(grid)
        half = qkv.bfloat16().requires_grad_()
        out = op.local_attention(half, 5)
        out.backward(gradient.bfloat16())
        assert out.dtype == half.grad.dtype == torch.bfloat16
        assert_equal((out, half.grad), reference(half, gradient, 5), 2e-2)


def test_tracers_see_one_operator():
    qkv = sample((14, 14))[0]
    traced = torch.jit.trace(lambda qkv: op.local_attention(qkv, 3), qkv)
    assert [node.kind() for node in traced.graph.nodes() if "tokenmix" in node.kind()] == ["tokenmix::local_attention"]


def test_threads_change_no_bit():
    qkv, gradient = sample((14, 14), batch=7, heads=3)
    single = by_rows(qkv, gradient, 5, threads=1)
    for threads in (2, 5, 50):
        for one, many in zip(single, by_rows(qkv, gradient, 5, threads), strict=True):
            assert torch.equal(one, many)


def test_one_thread_starts_none(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a thread was started")

    monkeypatch.setattr(threading, "Thread", refuse)
    by_rows(*sample((14, 14)), 3, threads=1)
    by_rows(*sample((3, 3), batch=1, heads=1), 3, threads=8)
    with pytest.raises(AssertionError, match="thread"):
        by_rows(*sample((14, 14)), 3, threads=2)


def test_huge_scores_neither_overflow_nor_vanish():
    qkv, gradient = sample((14, 14), scale=60.0)
    # a query far from all its keys: every score is very negative
    qkv[0, 3, 3, 0] = 50.0
    qkv[0, :, :, 1] = -50.0
    out, result = by_rows(qkv, gradient, 5)
    assert torch.isfinite(out).all() and torch.isfinite(result).all()
    assert_equal((out,), reference(qkv, gradient, 5)[:1], 1e-3)


def test_what_is_not_a_number_is_not_hidden():
    qkv, gradient = sample((14, 14))
    qkv[1, 6, 6, 1, 0, 3] = math.nan
    out, _ = by_rows(qkv, gradient, 3)
    seen = torch.zeros(3, 14, 14, 2, dtype=torch.bool)
    seen[1, 5:8, 5:8, 0] = True
    assert torch.equal(out.isnan().any(-1), seen)


@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (7, 7), (9, 4), (4, 3, 5)], ids=str)
@pytest.mark.parametrize("kernel", [3, 7])
def test_the_mask_of_flex_attention_is_the_neighbourhood(grid, kernel):
    index = torch.arange(math.prod(grid))
    places = np.argwhere(np.ones(grid))
    near = (abs(places[:, None] - places[None]) <= kernel // 2).all(-1)
    visible = flex.visible(grid, kernel)(0, 0, index[:, None], index[None])
    assert np.array_equal(visible.numpy(), near)
    assert torch.equal(dense.mask(grid, kernel, torch.float32) == 0, torch.from_numpy(near))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kernel", [3, 9])
@pytest.mark.parametrize("grid", [(1, 1), (9, 4), (14, 14), (4, 7, 5)], ids=str)
def test_the_operator_is_exact_on_a_gpu(grid, kernel):
    qkv, gradient = sample(grid)
    on_gpu = qkv.cuda().requires_grad_()
    out = op.local_attention(on_gpu, kernel)
    out.backward(gradient.cuda())
    assert_equal((out.cpu(), on_gpu.grad.cpu()), reference(qkv, gradient, kernel), 1e-5)


def test_flex_attention_forward(monkeypatch):
    # uncompiled, as the CPU allows; the compiled function is the same one
    monkeypatch.setattr(flex, "compiled", lambda: flex_attention)
    qkv, gradient = sample((9, 15))
    with torch.no_grad():
        out = flex.local_attention(qkv, 5)
    assert_equal((out,), reference(qkv, gradient, 5)[:1], 2e-6)
