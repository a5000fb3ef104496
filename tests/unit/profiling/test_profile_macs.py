"""The multiply-adds: against closed forms, against counting by hand, and nothing skipped in silence."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from tokenmix.models.build import build_model
from tokenmix.models.spatial import Convolution
from tokenmix.profiling.macs import cells_under_windows, count
from tokenmix.study.analytic import mixer_macs, pairs
from tokenmix.study.cost import GPU_SPEED, PASSES, estimate
from tokenmix.study.grammar import metaformer_name, volume_problem
from tokenmix.study.load import load_config
from tokenmix.study.manifest import load_manifest
from tokenmix.study.mixers import mixers
from tokenmix.study.model_macs import has_formula, model_macs

ROOT = Path(__file__).parents[3]
#: image sizes and, in the first three stages of `xs`, maps of odd, even, tiny and non-square shape
IMAGES = [(26, 26), (28, 28), (50, 34), (9, 70)]
VOLUMES = [(28, 28, 28), (9, 14, 28)]


def build(name: str, size: tuple[int, ...] = (28, 28), channels: int = 3, classes: int = 1) -> nn.Module:
    with torch.device("meta"):
        return build_model(name, channels=channels, classes=classes, size=size, dimensions=len(size))


@pytest.mark.parametrize(
    ("grid", "kernel"), [*itertools.product([(1, 1), (2, 5), (7, 7), (9, 4), (2, 5, 3)], [1, 3, 5, 7, 21])]
)
def test_pairs_are_those_inside_the_map(grid: tuple[int, ...], kernel: int) -> None:
    places = list(itertools.product(*map(range, grid)))
    near = sum(max(map(abs, np.subtract(a, b))) <= kernel // 2 for a in places for b in places)
    assert pairs(grid, kernel) == near
    assert np.prod([cells_under_windows(side, side, kernel, 1, kernel // 2) for side in grid]) == near


FORMS = [
    (mixer, size) for mixer in sorted(mixers()) for size in (*IMAGES, *(VOLUMES if not volume_problem(mixer) else ()))
]


@pytest.mark.parametrize(("mixer", "size"), FORMS, ids=str)
def test_traced_count_of_a_mixer_is_its_closed_form(mixer: str, size: tuple[int, ...]) -> None:
    for kernel in (3, 7) if mixers()[mixer] else (None,):
        model = build(metaformer_name("xs", "tttt", mixer, kernel), size)
        for blocks, grid, width in zip(model.stages, model.grids, (16, 32, 80, 128), strict=True):
            cost = count(blocks[0].mixer, (width, *grid))
            assert cost.skipped == ()
            assert cost.macs == mixer_macs(mixer, width, grid, kernel), (kernel, grid)


@pytest.mark.parametrize("extension", ["slopes", "cls", "register"])
@pytest.mark.parametrize("size", IMAGES, ids=str)
def test_traced_count_of_extended_attention_is_its_closed_form(extension: str, size: tuple[int, int]) -> None:
    model = build(f"xs-tttt-local_attn5+{extension}", size)
    for blocks, (height, breadth), width in zip(model.stages, model.grids, (16, 32, 80, 128), strict=True):
        shape = (height, breadth) if extension == "slopes" else (height * breadth + 1, 1)
        cost = count(blocks[0].mixer, (width, *shape))
        assert cost.skipped == ()
        assert cost.macs == mixer_macs("local_attn", width, (height, breadth), 5, [extension])


def test_what_extensions_cost() -> None:
    """Against the same model without: the additional layers by hand, `xs` on a colour image of 28 pixels."""
    base = count(build("xs-tttt-local_attn5"), (3, 28, 28))
    widths, sides = (16, 32, 80, 128), (14, 7, 4, 2)
    tokens = [side**2 for side in sides]
    blocks = (2, 2, 6, 2)
    costs = {name: count(build(f"xs-tttt-local_attn5+{name}"), (3, 28, 28)) for name in ("slopes", "coordmlp", "cls")}
    assert all(cost.skipped == () for cost in costs.values())
    assert costs["slopes"] == base
    coordinates = sum(n * 16 * (2 + d) for n, d in zip(tokens, widths, strict=True))
    assert costs["coordmlp"].macs - base.macs == coordinates
    # projections, pairs and channel MLP of the token, its way from stage to stage; no mean over the last map
    token = sum(b * (12 * d * d + 2 * d * (2 * n + 1)) for b, d, n in zip(blocks, widths, tokens, strict=True))
    ways = 16 * 32 + 32 * 80 + 80 * 128
    assert costs["cls"].macs - base.macs == token + ways - 4 * 128
    bilinear = count(build("xs-tttt-local_attn5+bilinear"), (3, 28, 28))
    inputs = (3, 16, 32, 80)
    assert bilinear.skipped == ()
    convolutions = sum(n * c * d * k * k for n, c, d, k in zip(tokens, inputs, widths, (7, 3, 3, 3), strict=True))
    pointwise = sum(n * c * (4 + d) for n, c, d in zip(tokens, inputs, widths, strict=True))
    assert base.macs - bilinear.macs == convolutions - pointwise


@pytest.mark.parametrize("name", ["s12-tttt-local_attn9", "s12-tttt-full_attn", "s12-tttt-random"])
def test_maps_of_a_large_image_need_no_memory(name: str) -> None:
    # 192 x 192 tokens: one matrix of all pairs would hold 1.36e9 numbers
    model = build(name, (768, 768))
    assert model.grids == [(192, 192), (96, 96), (48, 48), (24, 24)]
    mixer = name.split("-")[2].rstrip("9")
    kernel = 9 if name.endswith("9") else None
    assert count(model.stages[0][0].mixer, (64, 192, 192)).macs == mixer_macs(mixer, 64, (192, 192), kernel)


def test_poolformer_s12_has_the_published_cost() -> None:
    cost = count(build("s12-tttt-pooling3", (224, 224), classes=1000), (3, 224, 224))
    assert cost.skipped == ()
    assert round(cost.macs / 1e9, 1) == 1.8  # Yu et al., CVPR 2022, table 1
    assert round(cost.parameters / 1e6, 1) == 11.9
    # without the additions of pooling: 12 layers of 9 neighbours and the mean at the end
    pooling = sum(
        blocks * mixer_macs("pooling", width, (side, side), 3)
        for blocks, width, side in zip((2, 2, 6, 2), (64, 128, 320, 512), (56, 28, 14, 7), strict=True)
    )
    assert round((cost.macs - pooling - 512 * 49) / 1e9, 2) == 1.81


def test_a_model_is_the_sum_of_its_layers() -> None:
    """By hand: convolutions, MLPs, mixers, mean and head of `xs` on one grey image of 28 pixels."""
    widths, blocks, sides = (16, 32, 80, 128), (2, 2, 6, 2), (14, 7, 4, 2)
    expected, before = 0, 1
    for stage, (width, number, side) in enumerate(zip(widths, blocks, sides, strict=True)):
        expected += (9 if stage else 49) * before * width * side**2
        expected += number * (8 * width**2 * side**2 + mixer_macs("conv", width, (side, side), 5))
        before = width
    expected += 128 * 4 + 128 * 7
    assert count(build("xs-tttt-conv5", channels=1, classes=7), (1, 28, 28)).macs == expected


def test_a_model_of_volumes_is_the_sum_of_its_layers() -> None:
    """By hand, `xs` on one grey volume of 28 pixels; heads see the 27 neighbours of each position that exist."""
    widths, blocks, sides = (16, 32, 80, 128), (2, 2, 6, 2), (14, 7, 4, 2)
    expected, before = 128 * 8 + 128 * 7, 1
    for stage, (width, number, side) in enumerate(zip(widths, blocks, sides, strict=True)):
        neighbours = (3 * side - 2) ** 3
        expected += (27 if stage else 343) * before * width * side**3
        expected += number * (12 * width**2 * side**3 + 2 * width * neighbours)
        before = width
    # the patch embedding of the last stage leaves out nothing: its map has two positions a side
    cost = count(build("xs-tttt-local_attn3", (28, 28, 28), channels=1, classes=7), (1, 28, 28, 28))
    assert (cost.macs, cost.skipped) == (expected, ())


def trained_models() -> list[tuple[str, int]]:
    """Every model of the full study and of the mini study, with the dimensions of the images that it is trained on."""
    found = {}
    for study in ("full", "mini"):
        config = load_config(ROOT, study)
        for table in config.chosen_tables:
            for dataset, (model, _) in itertools.product(config.datasets_of(table), config.rows_of(table)):
                found[model, load_manifest()[dataset].dimensions] = True
    return sorted(found)


@pytest.mark.parametrize(("name", "dimensions"), [*trained_models(), ("xs-tttt-local_attn5+register", 2)])
def test_what_an_estimate_takes_a_model_for_is_its_traced_count(name: str, dimensions: int) -> None:
    # the last map of s12 has one position, where its patch embedding does not see all of its kernel
    size = 28
    cost = count(build(name, (size,) * dimensions, channels=1), (1, *[size] * dimensions))
    # all but the mean over the last map and the head
    assert model_macs(name, size, dimensions, 1) == pytest.approx(cost.macs, rel=0.005)
    assert has_formula(name)


@pytest.mark.parametrize(
    ("name", "size", "dimensions"),
    [("s12-tttt-conv7", 224, 2), ("resnet18-k7", 224, 2), ("fcvit_tiny", 224, 2), ("s12-tttt-full_attn", 64, 3)],
)
def test_the_estimate_of_a_run_is_three_passes_for_each_of_its_images(name: str, size: int, dimensions: int) -> None:
    run = {"model": name, "size": size, "dimensions": dimensions, "channels": 3}
    macs = 80 * PASSES * count(build(name, (size,) * dimensions), (3, *[size] * dimensions)).macs
    cost = estimate([run | {"iterations": 10, "batch_size": 4, "accumulation": 2}])
    assert cost.gpu_hours == pytest.approx(macs / GPU_SPEED / 3600, rel=0.001)


@pytest.mark.parametrize("kernel", [3, 5])
def test_resnet_of_volumes_is_counted_by_hooks_alike(kernel: int) -> None:
    total = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        total += module.weight[0].numel() * output[0].numel()

    model = build_model(f"resnet18-k{kernel}", channels=1, classes=4, size=16, dimensions=3)
    for module in model.modules():
        if isinstance(module, Convolution | nn.Linear):
            module.register_forward_hook(add)
    with torch.no_grad():
        model.eval()(torch.zeros(1, 1, 16, 16, 16))
    cost = count(build(f"resnet18-k{kernel}", (16, 16, 16), channels=1, classes=4), (1, 16, 16, 16))
    assert cost.skipped == ()
    assert cost.macs == total + 512  # the mean over the last map, one position


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_resnet_is_counted_by_hooks_alike(kernel: int) -> None:
    """An independent count: forward hooks on every convolution and linear layer of a real pass."""
    model = (
        timm.create_model("resnet18", num_classes=4)
        if kernel == 3
        else build_model(f"resnet18-k{kernel}", channels=3, classes=4, size=64)
    )
    total = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        total += module.weight[0].numel() * output[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d | Convolution | nn.Linear):
            module.register_forward_hook(add)
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 64, 64))
    cost = count(build(f"resnet18-k{kernel}", (64, 64), classes=4), (3, 64, 64))
    assert cost.skipped == ()
    assert cost.macs == total + 512 * 2 * 2  # the mean over the last map
    assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_frozen_matrices_are_no_parameters() -> None:
    frozen, learned = (count(build(f"xs-tttt-{name}"), (3, 28, 28)).parameters for name in ("random", "random_learned"))
    identity = count(build("xs-tttt-identity"), (3, 28, 28)).parameters
    assert frozen == identity
    assert learned == identity + sum(n * side**4 for n, side in zip((2, 2, 6, 2), (14, 7, 4, 2), strict=True))


class _Operators(nn.Module):
    """Counts the operators that the models at hand do not use in this form."""

    def __init__(self, function) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "shape", "macs"),
    [
        # a matrix without batch times a batch of matrices: every product of the batch counts
        (lambda x: torch.matmul(x.new_ones(5, 4), x), (3, 4, 6), 3 * 5 * 4 * 6),
        (lambda x: torch.einsum("bcn,bcm->bnm", x, x), (4, 6), 6 * 6 * 4),
        # windows of 2 with stride 2 on 5 cells, the last one half outside: 2 + 2 + 1 cells along each axis
        (lambda x: F.avg_pool2d(x, 2, ceil_mode=True), (3, 5, 5), 3 * 25),
        (lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), (2, 4, 4), 2 * 10 * 10),
        (lambda x: F.avg_pool3d(x, 3, 1, 1), (2, 4, 4, 4), 2 * 1000),
        (lambda x: F.conv3d(x, x.new_ones(5, 2, 3, 3, 3), padding=1), (2, 4, 4, 4), 5 * 2 * 27 * 64),
        (lambda x: F.conv2d(x, x.new_ones(4, 1, 3, 3), groups=4, stride=2), (4, 7, 7), 4 * 9 * 9),
        (
            lambda x: F.scaled_dot_product_attention(x, x[..., :7, :], x[..., :7, :]),
            (2, 9, 5),
            2 * 9 * 7 * 10,
        ),
        (lambda x: F.gelu(x * 2 + 1), (3, 4), 0),
    ],
)
def test_operators(function, shape: tuple[int, ...], macs: int) -> None:  # type: ignore[no-untyped-def]
    cost = count(_Operators(function), shape)
    assert (cost.macs, cost.skipped) == (macs, ())


def test_what_is_not_known_is_named() -> None:
    cost = count(_Operators(lambda x: (x.unfold(1, 3, 1) * 2).sum(-1).cumsum(-1)), (4, 9))
    assert cost.skipped == ("aten::cumsum", "aten::sum", "aten::unfold")
