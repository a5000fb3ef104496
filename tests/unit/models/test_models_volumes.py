"""Models of volumes: the same networks as for images, with a third axis."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tokenmix.models.build import build_model
from tokenmix.models.mixers import conv, local_attn, pooling, sep_conv
from tokenmix.models.site import Site
from tokenmix.models.spatial import lay_channels_last, slide

BLOCKS = (2, 2, 6, 2)
WIDTHS = {"s12": (64, 128, 320, 512), "xs": (16, 32, 80, 128)}
MIXERS = ("pooling3", "conv3", "sep_conv5", "local_attn3", "full_attn", "identity", "random", "random_learned")
GRID = (4, 3, 5)


def volume_model(name: str, size: int = 28, channels: int = 1, **options):
    return build_model(name, channels=channels, classes=4, size=size, dimensions=3, options=options)


def near(grid: tuple[int, ...], kernel: int) -> torch.Tensor:
    """Which positions (rows) see which (columns), by their coordinates."""
    places = np.argwhere(np.ones(grid))
    return torch.from_numpy((abs(places[:, None] - places[None]) <= kernel // 2).all(-1))


def feature_map(dim: int = 32) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(2, dim, *GRID).contiguous(memory_format=torch.channels_last_3d)


# 7 and 9 are larger than the map along every axis
@pytest.mark.parametrize("kernel", [3, 5, 7, 9])
def test_pooling_is_the_mean_of_the_neighbours_that_exist(kernel):
    x, sees = feature_map(), near(GRID, kernel).double()
    mean = x.double().flatten(2) @ (sees / sees.sum(1, keepdim=True)).T
    expected = mean.unflatten(2, GRID) - x
    assert torch.allclose(pooling.Mixer(Site(32, GRID), kernel)(x).double(), expected, atol=1e-6)


@pytest.mark.parametrize("kernel", [3, 5, 7, 9])
def test_convolutions_sum_over_the_neighbours_that_exist(kernel):
    x, reach = feature_map(), kernel // 2
    dense, depthwise = conv.Mixer(Site(32, GRID), kernel), sep_conv.Mixer(Site(32, GRID), kernel)
    places = [*itertools.product(*map(range, GRID))]
    expected = [torch.zeros(2, 32, *GRID, dtype=torch.float64) for _ in range(2)]
    for here, there in itertools.product(places, places):
        tap = tuple(t - h + reach for h, t in zip(here, there, strict=True))
        if all(0 <= offset < kernel for offset in tap):
            value = x[(..., *there)].double()
            expected[0][(..., *here)] += value @ dense.weight[(..., *tap)].double().T
            expected[1][(..., *here)] += value * depthwise.weight[(slice(None), 0, *tap)].double()
    for mixer, wanted in zip((dense, depthwise), expected, strict=True):
        assert torch.allclose(mixer(x).double(), wanted + mixer.bias.double()[:, None, None, None], atol=1e-5)


@pytest.mark.parametrize("kernel", [3, 5, 9])
def test_local_attention_is_masked_multi_head_attention_minus_the_input(kernel):
    x, mixer = feature_map(), local_attn.Mixer(Site(32, GRID), kernel)
    reference = nn.MultiheadAttention(32, 2, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(mixer.qkv.weight)
        reference.in_proj_bias.copy_(mixer.qkv.bias)
        reference.out_proj.load_state_dict(mixer.out.state_dict())
    sequence = x.flatten(2).transpose(1, 2)
    attended = reference(sequence, sequence, sequence, attn_mask=~near(GRID, kernel))[0]
    assert torch.allclose(mixer(x), attended.transpose(1, 2).unflatten(2, GRID) - x, atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (7, 1), (3, 2)])
@pytest.mark.parametrize("grid", [(7, 7, 7), (8, 7, 9)], ids=str)
def test_sliding_over_planes_and_columns_is_sliding_over_the_volume(kernel, stride, grid):
    x = torch.randn(2, 3, *grid, dtype=torch.float64, requires_grad=True)
    pad = kernel // 2

    def mean(x, *window):
        return F.avg_pool2d(x, *window, count_include_pad=False)

    pairs = [
        (slide(mean, x, kernel, stride), F.avg_pool3d(x, kernel, stride, pad, count_include_pad=False)),
        (slide(F.max_pool2d, x, kernel, stride), F.max_pool3d(x, kernel, stride, pad)),
    ]
    for ours, theirs in pairs:
        assert torch.allclose(ours, theirs)
        gradients = (torch.autograd.grad(out.sin().sum(), x)[0] for out in (ours, theirs))
        assert torch.allclose(*gradients)


def inflate(flat: nn.Module, deep: nn.Module) -> None:
    """Give a model of volumes the weights of one of images, in the middle plane of its kernels."""
    state = flat.state_dict()
    with torch.no_grad():
        for name, target in deep.state_dict().items():
            source = state[name]
            if target.ndim == 5:
                target.zero_()[:, :, target.shape[2] // 2] = source
            else:
                target.copy_(source.view(target.shape))


NAMES = (
    "xs-tttt-pooling5", "xs-pptt-conv3", "xs-tttt-conv7", "xs-tttt-sep_conv3", "xs-tttt-local_attn3",
    "xs-tttt-local_attn7", "s12-pptt-local_attn5", "xs-tttt-identity", "resnet18-k3", "resnet18-k5",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_volume_that_repeats_an_image_gives_what_the_image_gives(name):
    torch.manual_seed(0)
    options = {"layer_scale": 0.5, "norm": "channel"}
    flat = build_model(name, channels=2, classes=4, size=28, options=options).eval()
    deep = build_model(name, channels=2, classes=4, size=28, dimensions=3, options=options).eval()
    inflate(flat, deep)
    images = torch.randn(2, 2, 28, 28)
    volumes = images[:, :, None].expand(-1, -1, 28, -1, -1)
    assert torch.allclose(deep(volumes), flat(images), atol=2e-5, rtol=1e-5)
    assert not torch.allclose(deep(volumes), flat(images.mT), atol=1e-3)


@pytest.mark.parametrize("arrangement", ["tttt", "pptt"])
@pytest.mark.parametrize("mixer", MIXERS)
def test_every_mixer_trains_and_its_weights_can_be_stored(mixer, arrangement):
    name = f"xs-{arrangement}-{mixer}"
    torch.manual_seed(0)
    model = volume_model(name, 14)
    volumes = torch.randn(2, 1, 14, 14, 14)
    model(volumes).square().sum().backward()
    assert not {name for name, weight in model.named_parameters() if weight.grad is None}
    other = volume_model(name, 14)
    other.load_state_dict(model.state_dict())
    assert torch.equal(model.eval()(volumes), other.eval()(volumes))


@pytest.mark.parametrize("scale", ["s12", "xs"])
@pytest.mark.parametrize(
    ("mixer", "of_width"),
    [
        ("conv3", lambda d: d * d * 27 + d), ("sep_conv5", lambda d: d * 125 + d), ("pooling7", lambda d: 0),
        ("local_attn5", lambda d: 4 * d * d + 4 * d), ("full_attn", lambda d: 4 * d * d + d),
    ],
)  # fmt: skip
def test_parameters(scale, mixer, of_width):
    with torch.device("meta"):
        model = volume_model(f"{scale}-tttt-{mixer}", 64)
    expected, before = 4 * WIDTHS[scale][-1] + 4 + 2 * WIDTHS[scale][-1], 1
    for stage, (d, blocks) in enumerate(zip(WIDTHS[scale], BLOCKS, strict=True)):
        expected += d * before * (27 if stage else 343) + d + blocks * (8 * d * d + 5 * d + 4 * d + 2 * d + of_width(d))
        # the position map of the first block of a stage
        expected += d * math.prod(model.grids[stage]) if mixer == "full_attn" else 0
        before = d
    assert sum(weight.numel() for weight in model.parameters()) == expected


def test_maps_and_heads_of_every_stage():
    for name, size, sides in (("s12", 64, (16, 8, 4, 2)), ("s12", 28, (7, 4, 2, 1)), ("xs", 28, (14, 7, 4, 2))):
        with torch.device("meta"):
            model = volume_model(f"{name}-tttt-local_attn3", size)
        assert model.grids == [(side,) * 3 for side in sides]
        assert [stage[0].mixer.heads for stage in model.stages] == [width // 16 for width in WIDTHS[name]]


def test_small_map_fallback_is_local_from_64_tokens_on():
    with torch.device("meta"):
        model = volume_model("s12-tttt-local_attn3", 64, small_map_fallback=True)
    assert [stage[0].mixer.kernel for stage in model.stages] == [
        3,
        3,
        3,
        3,
    ]  # 64 tokens in stage 3, 2 x 2 x 2 in stage 4
    with torch.device("meta"):
        model = volume_model("s12-tttt-local_attn3", 96, small_map_fallback=True)
    assert model.grids[3] == (3, 3, 3)
    assert [stage[0].mixer.kernel for stage in model.stages] == [3, 3, 3, 5]


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_parameters_of_resnet(kernel):
    """By hand: stem, eight blocks of two convolutions, three strided 1x1x1 convolutions, norms, head."""
    widths = (64, 64, 128, 256, 512)
    expected = 64 * 343 + 2 * 64 + 512 * 4 + 4
    for before, d in itertools.pairwise(widths):
        expected += kernel**3 * (before * d + 3 * d * d) + 4 * 2 * d
        expected += before * d + 2 * d if before != d else 0
    assert sum(weight.numel() for weight in volume_model(f"resnet18-k{kernel}").parameters()) == expected


@pytest.mark.parametrize("mixer", MIXERS)
def test_maps_stay_channels_last(mixer):
    # the channel MLP is a linear layer without a copy only then
    model = volume_model(f"xs-tttt-{mixer}")
    lay_channels_last(model, 3)
    features = model.stages[0](model.embeddings[0](torch.randn(2, 1, 28, 28, 28)))
    assert features.is_contiguous(memory_format=torch.channels_last_3d)


def test_volumes_of_three_different_sides():
    model = build_model("xs-tttt-local_attn3", channels=1, classes=2, size=(9, 14, 28), dimensions=3)
    assert model.grids[0] == (5, 7, 14)
    assert model(torch.randn(1, 1, 9, 14, 28)).shape == (1, 2)
