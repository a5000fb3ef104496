"""Every model of the grammar: shapes, sizes, options, what is stored, what the reference study counted."""

import math
import subprocess
import sys

import pytest
import torch

from tokenmix.errors import UserError
from tokenmix.models.build import build_model

S12_WIDTHS, BLOCKS = (64, 128, 320, 512), (2, 2, 6, 2)
XS_WIDTHS = (16, 32, 80, 128)
MIXERS = (
    "pooling3", "conv3", "sep_conv5", "local_attn3", "full_attn", "identity", "random", "random_learned", "fcvit11",
)  # fmt: skip


def parameters(model: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def without_head(name: str, size: int = 224, channels: int = 3) -> int:
    with torch.device("meta"):
        model = build_model(name, channels=channels, classes=10, size=size)
    return parameters(model) - parameters(model.head)


def backbone(widths: tuple[int, ...], channels: int) -> int:
    """Parameters of a model whose mixers have none: embeddings, norms, scales and channel MLPs."""
    inputs = (channels, *widths[:-1])
    embeddings = sum(d * (c * k * k) + d for c, d, k in zip(inputs, widths, (7, 3, 3, 3), strict=True))
    blocks = sum(n * (8 * d * d + 5 * d + 4 * d + 2 * d) for n, d in zip(BLOCKS, widths, strict=True))
    return embeddings + blocks + 2 * widths[-1]


def test_the_backbone_has_the_known_number_of_parameters():
    assert without_head("s12-tttt-pooling3") == 11_402_176 == backbone(S12_WIDTHS, 3)
    assert without_head("s12-tttt-pooling7", channels=1) == backbone(S12_WIDTHS, 1)
    assert without_head("xs-tttt-identity") == backbone(XS_WIDTHS, 3)


@pytest.mark.parametrize("arrangement", ["tttt", "pptt", "tptp"])
@pytest.mark.parametrize(
    ("mixer", "of_width"),
    [
        *((f"conv{k}", lambda d, k=k: d * d * k * k + d) for k in (3, 5, 7)),
        *((f"sep_conv{k}", lambda d, k=k: d * k * k + d) for k in (3, 5, 7)),
        ("local_attn5", lambda d: 4 * d * d + 4 * d),
        ("full_attn", lambda d: 4 * d * d + d),
        ("identity", lambda d: 0),
        ("random", lambda d: 0),
    ],
)
def test_parameters_of_a_mixer(arrangement, mixer, of_width):
    expected = backbone(S12_WIDTHS, 3)
    sides = (56, 28, 14, 7)
    for letter, width, blocks, side in zip(arrangement, S12_WIDTHS, BLOCKS, sides, strict=True):
        if letter == "t":
            # the position map of the first block of a stage
            expected += blocks * of_width(width) + (width * side * side if mixer == "full_attn" else 0)
    assert without_head(f"s12-{arrangement}-{mixer}") == expected


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("s12-tttt-sep_conv3", 11.44), ("s12-tttt-sep_conv5", 11.49), ("s12-tttt-sep_conv7", 11.57),
        ("s12-pptt-sep_conv3", 11.43), ("s12-pptt-sep_conv5", 11.48), ("s12-pptt-sep_conv7", 11.55),
        ("s12-tttt-local_attn3", 16.13), ("s12-pptt-local_attn3", 15.97),
        ("s12-tttt-full_attn", 16.51), ("s12-pptt-full_attn", 16.05),
        ("s12-tttt-conv3", 22.02), ("s12-tttt-conv5", 40.90), ("s12-tttt-conv7", 69.21),
    ],
)  # fmt: skip
def test_parameters_that_the_reference_study_states(name, millions):
    assert round(without_head(name) / 1e6, 2) == millions


@pytest.mark.parametrize("arrangement", ["tttt", "pptt"])
@pytest.mark.parametrize("mixer", MIXERS)
def test_every_mixer_trains_and_its_weights_can_be_stored(mixer, arrangement):
    name = f"xs-{arrangement}-{mixer}"
    torch.manual_seed(0)
    model = build_model(name, channels=1, classes=4, size=28)
    images = torch.randn(2, 1, 28, 28)
    model(images).square().sum().backward()
    unused = {name for name, weight in model.named_parameters() if weight.grad is None}
    assert not unused
    torch.manual_seed(1)
    other = build_model(name, channels=1, classes=4, size=28)
    assert not torch.equal(model.eval()(images), other.eval()(images))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(images), other(images))


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("size", [7, 29, (33, 61)], ids=str)
def test_any_image_size(mixer, size):
    sides = (size, size) if isinstance(size, int) else size
    for scale in ("s12", "xs"):
        model = build_model(f"{scale}-tttt-{mixer}", channels=3, classes=2, size=size).eval()
        images = torch.randn(1, 3, *sides)
        assert tuple(model.features(images).shape[2:]) == model.grids[-1]
        assert model(images).shape == (1, 2)


def test_maps_of_28_pixels():
    sizes = {
        scale: build_model(f"{scale}-tttt-identity", channels=1, classes=2, size=28).grids for scale in ("s12", "xs")
    }
    assert sizes["s12"] == [(7, 7), (4, 4), (2, 2), (1, 1)]
    assert sizes["xs"] == [(14, 14), (7, 7), (4, 4), (2, 2)]


def test_the_same_seed_builds_the_same_model():
    models = []
    for _ in range(2):
        torch.manual_seed(5)
        models.append(build_model("xs-tttt-random", channels=1, classes=2, size=28).state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_initial_weights():
    torch.manual_seed(0)
    model = build_model("s12-tttt-conv3", channels=3, classes=50, size=32, options={"layer_scale": 0.25})
    block = model.stages[2][0]
    for linear in (block.mlp.expand, block.mlp.contract, model.head):
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert not linear.bias.any()
    assert (block.scale1 == 0.25).all() and (block.scale2 == 0.25).all()
    # PyTorch's default: uniform within 1 / sqrt(fan in), weights and biases
    for convolution in (block.mixer, *model.embeddings):
        bound = 1 / math.sqrt(convolution.weight[0].numel())
        assert 0.98 * bound < convolution.weight.abs().max() <= bound
        assert convolution.bias.any()


def test_drop_path_skips_branches_of_single_images_in_training_only():
    torch.manual_seed(0)
    options = {"drop_path": 0.5, "layer_scale": 1.0}
    model = build_model("xs-tttt-pooling3", channels=1, classes=2, size=28, options=options)
    assert {block.drop.p for stage in model.stages for block in stage} == {0.5}
    drop, scale = model.stages[0][0].drop, torch.tensor([1.0, 3.0])[:, None, None]
    factors = drop(scale, 2000).squeeze() / scale.squeeze()
    assert factors.shape == (2000, 2)
    assert set(factors.unique().tolist()) == {0.0, 2.0}
    assert (factors[:, 0] == factors[:, 1]).all()
    assert factors.mean().item() == pytest.approx(1, abs=0.1)
    # what is skipped for an image is a branch: with all of them skipped nothing depends on their weights
    for stage in model.stages:
        for block in stage:
            block.drop.p = 1 - 1e-9
    images = torch.randn(2, 1, 28, 28)
    skipped = model(images)
    with torch.no_grad():
        for stage in model.stages:
            for block in stage:
                block.mlp.contract.weight.zero_()
    assert torch.equal(model(images), skipped)
    whole = model.eval()(images)
    assert torch.equal(model(images), whole) and not torch.equal(whole, skipped)


def test_small_map_fallback_makes_local_attention_global_on_64_tokens_or_fewer():
    kernels = {}
    for fallback in (False, True):
        options = {"small_map_fallback": fallback}
        model = build_model("s12-tttt-local_attn3", channels=1, classes=2, size=256, options=options)
        kernels[fallback] = [stage[0].mixer.kernel for stage in model.stages]
    assert kernels[False] == [3, 3, 3, 3]
    assert kernels[True] == [3, 3, 3, 15]  # maps of 64, 32, 16, 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"layerscale": 1}}, "unknown model option 'layerscale'"),
        ({"options": {"head_dim": 24}}, "head_dim 24 does not divide the width 64"),
        ({"dimensions": 4}, "4 dimensions"),
        ({"dimensions": 3, "size": (28, 28)}, "give one side or 3"),
        ({"name": "fcvit_tiny", "dimensions": 3}, "two-dimensional"),
        ({"name": "xs-pptt-fcvit11", "dimensions": 3}, "another model or mixer"),
        ({"name": "xs-tttt-local_attn3+slopes", "dimensions": 3}, "leave out `\\+slopes`"),
        ({"size": 0}, "image size 0"),
        ({"size": (28, 28, 28)}, "image size"),
        ({"size": 2}, "too small"),
        ({"name": "s12-tttt-locl_attn3"}, "local_attn"),
    ],
)
def test_mistakes_are_explained(arguments, message):
    given = {"name": "s12-tttt-full_attn", "channels": 1, "classes": 2, "size": 28, **arguments}
    with pytest.raises(UserError, match=message):
        build_model(given.pop("name"), **given)


def test_a_run_reaches_its_own_mixers_only():
    code = (
        "import sys; from tokenmix.models.build import build_model;"
        "build_model('xs-pptt-conv3', channels=1, classes=2, size=28);"
        "print(*sorted(n for n in sys.modules if n.startswith('tokenmix.models.')), 'numba' in sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    models = {name.removeprefix("tokenmix.models.") for name in loaded[:-1]}
    assert models == {
        "build",
        "block",
        "linear",
        "metaformer",
        "site",
        "spatial",
        "mixers",
        "mixers.pooling",
        "mixers.conv",
    }
    assert loaded[-1] == "False"
