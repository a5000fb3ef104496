"""What each mixer computes, against plain formulas."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tokenmix.models.linear import Linear
from tokenmix.models.metaformer import PatchEmbedding
from tokenmix.models.mixers import (
    conv,
    full_attn,
    identity,
    local_attn,
    pooling,
    random,
    random_learned,
    sep_conv,
)
from tokenmix.models.site import Site

GRID = (5, 7)


def tokens(dim: int = 32) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, dim, *GRID).contiguous(memory_format=torch.channels_last)


def neighbourhoods(x: torch.Tensor, kernel: int) -> torch.Tensor:
    """(B, C, k * k, H, W) of the neighbours of each position, zero outside the map."""
    return F.unfold(x, kernel, padding=kernel // 2).unflatten(1, (x.shape[1], -1)).unflatten(-1, GRID)


@pytest.mark.parametrize("kernel", [3, 5, 7, 9])
def test_pooling_is_the_mean_of_the_neighbours_on_the_map_minus_the_input(kernel):
    x = tokens()
    count = neighbourhoods(torch.ones_like(x), kernel).sum(2)
    expected = neighbourhoods(x, kernel).sum(2) / count - x
    assert torch.allclose(pooling.Mixer(Site(32, GRID), kernel)(x), expected, atol=1e-6)


@pytest.mark.parametrize("kernel", [3, 7])
def test_conv_and_sep_conv_sum_over_the_neighbours(kernel):
    x = tokens()
    dense, depthwise = conv.Mixer(Site(32, GRID), kernel), sep_conv.Mixer(Site(32, GRID), kernel)
    patches = neighbourhoods(x, kernel)
    expected = torch.einsum("bcnhw,dcn->bdhw", patches, dense.weight.flatten(2)) + dense.bias[:, None, None]
    assert torch.allclose(dense(x), expected, atol=1e-5)
    expected = torch.einsum("bcnhw,cn->bchw", patches, depthwise.weight[:, 0].flatten(1))
    assert torch.allclose(depthwise(x), expected + depthwise.bias[:, None, None], atol=1e-5)


def test_identity_passes_its_input_on():
    x = tokens()
    assert identity.Mixer(Site(32, GRID))(x) is x


def test_random_is_one_frozen_stochastic_matrix_for_every_channel():
    x, mixer = tokens(), random.Mixer(Site(32, GRID))
    assert not list(mixer.parameters())
    matrix = mixer.state_dict()["weights_NM"]
    assert matrix.shape == (35, 35) and (matrix > 0).all()
    assert torch.allclose(matrix.sum(1), torch.ones(35))
    # the softmax of numbers in [0, 1) spreads weights by a factor of e at most
    assert 2 < (matrix.amax() / matrix.amin()) < 3.5
    expected = torch.einsum("nm,bcm->bcn", matrix, x.flatten(2)).unflatten(2, GRID)
    assert torch.allclose(mixer(x), expected, atol=1e-6)
    assert not torch.equal(matrix, random.Mixer(Site(32, GRID)).weights_NM)


def test_random_learned_starts_as_random_and_stays_stochastic():
    x = tokens()
    torch.manual_seed(4)
    frozen = random.Mixer(Site(32, GRID))
    torch.manual_seed(4)
    learned = random_learned.Mixer(Site(32, GRID))
    assert torch.equal(learned(x), frozen(x))
    learned(x).square().sum().backward()
    (weight,) = learned.parameters()
    assert weight.grad.abs().sum() > 0
    with torch.no_grad():
        weight -= weight.grad
    ones = torch.ones_like(x)
    assert torch.allclose(learned(ones), ones)


@pytest.mark.parametrize("first", [True, False])
def test_full_attention_is_multi_head_attention_behind_a_position_map(first):
    x, mixer = tokens(), full_attn.Mixer(Site(32, GRID, first, head_dim=8))
    reference = nn.MultiheadAttention(32, 4, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(mixer.qkv.weight)
        reference.in_proj_bias.zero_()
        reference.out_proj.load_state_dict(mixer.out.state_dict())
    positions = torch.zeros(32, *GRID)
    if first:
        assert not mixer.position_CHW.any()
        positions.normal_()
        mixer.position_CHW.data.copy_(positions)
    else:
        assert mixer.position_CHW is None
    sequence = (x + positions).flatten(2).transpose(1, 2)
    expected = reference(sequence, sequence, sequence)[0].transpose(1, 2).unflatten(2, GRID)
    assert torch.allclose(mixer(x), expected, atol=1e-5)


@pytest.mark.parametrize("kernel", [3, 5, 21])
def test_local_attention_is_masked_multi_head_attention_minus_the_input(kernel):
    x, mixer = tokens(), local_attn.Mixer(Site(32, GRID), kernel)
    reference = nn.MultiheadAttention(32, 2, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(mixer.qkv.weight)
        reference.in_proj_bias.copy_(mixer.qkv.bias)
        reference.out_proj.load_state_dict(mixer.out.state_dict())
    places = torch.cartesian_prod(*map(torch.arange, GRID))
    hidden = (places[:, None] - places).abs().amax(-1) > kernel // 2
    sequence = x.flatten(2).transpose(1, 2)
    attended = reference(sequence, sequence, sequence, attn_mask=hidden)[0]
    expected = attended.transpose(1, 2).unflatten(2, GRID) - x
    assert torch.allclose(mixer(x), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 7, 5, 64), (1, 1, 1, 64), (3, 64)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_linear_is_torchs_linear(shape, dtype):
    torch.manual_seed(0)
    layer = Linear(64, 48).to(dtype)
    # a map that lies channels last, as blocks pass it on, and one that does not
    for x in (torch.randn(shape, dtype=dtype), torch.randn(*shape[:-2], 64, shape[-2], dtype=dtype).mT):
        x.requires_grad_()
        results = []
        for function in (layer, lambda x: F.linear(x, layer.weight, layer.bias)):
            out = function(x)
            gradients = torch.autograd.grad(out.float().sin().sum(), (x, layer.weight, layer.bias))
            results.append((out, *gradients))
        for given, expected in zip(*results, strict=True):
            assert given.dtype == dtype and given.shape == expected.shape
            assert torch.allclose(given, expected, atol=1e-5, rtol=1e-5)


def test_linear_under_autocast_is_in_half_precision():
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(64, 48)(torch.randn(2, 64)).dtype == torch.bfloat16


SIDES = [(1, 1), (2, 2), (1, 2), (2, 1), (3, 2), (2, 5), (4, 4), (1, 1, 1), (2, 2, 2), (1, 2, 2), (3, 2, 2), (4, 4, 4)]
EMBEDDINGS = [(3, 2, 1), (7, 4, 2), (7, 2, 3)]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "side"),
    # a map smaller than its kernel has no output
    [(*shape, side) for shape in EMBEDDINGS for side in SIDES if min(side) + 2 * shape[2] >= shape[0]],
)
def test_patch_embedding_is_a_convolution(kernel, stride, padding, side):
    torch.manual_seed(0)
    embedding = PatchEmbedding(8, 5, kernel, stride, padding, axes=len(side))
    convolve = F.conv2d if len(side) == 2 else F.conv3d
    x = torch.randn(3, 8, *side, requires_grad=True)
    results = []
    for function in (embedding, lambda x: convolve(x, embedding.weight, embedding.bias, stride, padding)):
        out = function(x)
        results.append((out, *torch.autograd.grad(out.sin().sum(), (x, *embedding.parameters()))))
    for given, expected in zip(*results, strict=True):
        assert given.shape == expected.shape
        assert torch.allclose(given, expected, atol=1e-5)


@pytest.mark.parametrize(
    "mixer",
    [
        pooling.Mixer(Site(32, GRID), 3),
        conv.Mixer(Site(32, GRID), 3),
        sep_conv.Mixer(Site(32, GRID), 3),
        local_attn.Mixer(Site(32, GRID), 3),
        full_attn.Mixer(Site(32, GRID)),
        random.Mixer(Site(32, GRID)),
    ],
    ids=lambda mixer: mixer.__module__.rsplit(".", 1)[1],
)
def test_maps_stay_channels_last(mixer):
    # the channel MLP behind a mixer is a linear layer without a copy only then
    assert mixer(tokens()).is_contiguous(memory_format=torch.channels_last)
