"""Where windows cover whole maps, and which models are therefore the same function."""

import pytest
import torch

from tokenmix.models.build import build_model
from tokenmix.study import coincide
from tokenmix.study.coincide import global_stages, grids
from tokenmix.study.options import NORM_OF_WEIGHTS
from tokenmix.study.protocol import ModelOptions

OFF, ON = (ModelOptions(small_map_fallback=value).model_dump() for value in (False, True))


def coinciding(models, size, options, dimensions=2, init="scratch"):
    """Groups of models with the same initialisation."""
    groups = coincide.coinciding([(model, init) for model in models], size, options, dimensions)
    assert {start for group in groups for _, start in group} <= {init}
    return [[model for model, _ in group] for group in groups]


@pytest.mark.parametrize("scale", ["s12", "xs"])
@pytest.mark.parametrize("size", [28, 32, 45, 64, 96])
def test_grids_are_those_of_the_models(scale, size):
    model = build_model(f"{scale}-tttt-identity", channels=1, classes=2, size=size)
    assert [(side, side) for side in grids(scale, size)] == model.grids


def test_the_small_scale_keeps_grids_on_28_pixels():
    assert grids("xs", 28) == [14, 7, 4, 2]
    assert grids("s12", 28) == [7, 4, 2, 1]


def test_grids_of_volumes_are_those_of_the_models():
    with torch.device("meta"):
        model = build_model("s12-tttt-identity", channels=1, classes=2, size=64, dimensions=3)
    assert [(side, side, side) for side in grids("s12", 64)] == model.grids


def test_in_volumes_local_attention_becomes_global_below_64_positions():
    # maps of 16, 8, 4 and 2 positions a side; of 24, 12, 6 and 3
    assert global_stages("s12-tttt-local_attn3", 64, ON, dimensions=3) == [4]
    assert global_stages("s12-tttt-local_attn3", 64, ON, dimensions=2) == [2, 3, 4]
    assert global_stages("s12-tttt-local_attn3", 96, ON, dimensions=3) == [4]
    assert global_stages("s12-tttt-local_attn3", 96, OFF, dimensions=3) == []
    models = ["s12-pptt-local_attn5", "s12-pptt-local_attn7"]
    assert coinciding(models, 64, ON, dimensions=2) == [models]
    assert coinciding(models, 64, ON, dimensions=3) == coinciding(models, 64, OFF, dimensions=3) == []


@pytest.mark.parametrize("mixer", ["pooling", "conv", "sep_conv", "local_attn"])
def test_kernels_larger_than_the_maps_of_a_volume_are_found(mixer):
    # maps of 14, 7, 4 and 2 positions a side: a kernel of 7 reaches 3 positions
    assert global_stages(f"xs-tttt-{mixer}7", 28, OFF, dimensions=3) == [3, 4]
    assert global_stages(f"xs-tttt-{mixer}3", 28, OFF, dimensions=3) == [4]


@pytest.mark.parametrize(
    "model, size, options, stages",
    [
        ("s12-tttt-local_attn3", 28, OFF, [3, 4]),
        ("s12-tttt-local_attn7", 28, OFF, [2, 3, 4]),
        ("xs-tttt-local_attn3", 28, OFF, [4]),
        ("xs-tttt-conv7", 28, OFF, [3, 4]),
        ("s12-pptt-pooling7", 28, OFF, [3, 4]),
        ("s12-tttt-local_attn5", 224, OFF, []),
        ("s12-tttt-local_attn5", 224, ON, [4]),
        ("s12-tttt-local_attn5", 256, ON, [4]),
        ("s12-tttt-local_attn5", 288, ON, []),
        ("s12-tttt-pooling5", 224, ON, []),
        ("s12-tttt-identity", 28, OFF, []),
        ("resnet18-k3", 28, OFF, []),
    ],
)
def test_global_stages(model, size, options, stages):
    assert global_stages(model, size, options) == stages


def test_models_of_the_same_function_are_grouped():
    models = [
        "s12-pptt-local_attn3",
        "s12-tttt-local_attn3",
        "s12-pptt-local_attn7",
        "s12-pptt-conv3",
        "s12-pptt-conv5",
    ]
    # in stages 3 and 4 of S12 at 28 pixels kernels cover maps of 2 and 1; convolutions differ in weights
    assert coinciding(models, 28, OFF) == [["s12-pptt-local_attn3", "s12-pptt-local_attn7"]]
    assert coinciding(models, 224, OFF) == []
    assert coinciding(["xs-tttt-pooling3", "xs-pptt-pooling3"], 224, OFF) == [["xs-tttt-pooling3", "xs-pptt-pooling3"]]


def test_extensions_make_other_functions():
    models = [f"s12-pptt-local_attn{end}" for end in ("3", "7", "3+slopes", "7+slopes", "7+coordmlp+slopes")]
    assert coinciding(models, 28, OFF) == [models[:2], models[2:4]]
    assert global_stages("s12-tttt-local_attn3+cls", 28, OFF) == [3, 4]


@pytest.mark.parametrize("pair, same", [
    (("s12-pptt-local_attn3", "s12-pptt-local_attn7"), True),
    (("s12-pptt-pooling3", "s12-tttt-pooling3"), True),
    (("s12-tttt-local_attn3", "s12-tttt-local_attn7"), False),
    (("s12-pptt-local_attn3+slopes", "s12-pptt-local_attn5+slopes"), True),
])  # fmt: skip
def test_coinciding_models_give_the_same_outputs_from_the_same_weights(pair, same):
    assert (coinciding(pair, 28, OFF) == [list(pair)]) is same
    torch.manual_seed(0)
    options = {"layer_scale": 1.0}
    models = [build_model(name, channels=1, classes=2, size=28, options=options).eval() for name in pair]
    models[1].load_state_dict(models[0].state_dict())
    images = torch.randn(2, 1, 28, 28)
    with torch.no_grad():
        outputs = [model(images) for model in models]
    assert torch.allclose(*outputs, atol=1e-5) is same


def test_models_with_different_norms_compute_different_functions():
    pair = ["s12-tttt-pooling3", "s12-pptt-pooling3"]
    assert coinciding(pair, 224, OFF) == coinciding(pair, 224, {**OFF, "norm": "group"}) == [pair]
    assert coinciding(pair, 224, {**OFF, "norm": "by_arrangement"}) == []


def test_models_that_start_from_other_weights_do_not_coincide(monkeypatch):
    # the one starts from PoolFormer, the other from the hybrid: were it only for the norm, they would coincide
    monkeypatch.setattr("tokenmix.study.options.NORM_OF_WEIGHTS", dict.fromkeys(NORM_OF_WEIGHTS, "channel"))
    assert coinciding(["s12-tttt-pooling3", "s12-pptt-pooling3"], 224, OFF, init="pretrained") == []
    local = ["s12-pptt-local_attn3", "s12-pptt-local_attn7"]
    assert coinciding(local, 28, OFF, init="warm") == [local]
    rows = [(local[0], "warm"), (local[1], "cold"), (local[0], "matched"), (local[1], "scratch")]
    assert coincide.coinciding(rows, 28, OFF) == []
