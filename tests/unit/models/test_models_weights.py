"""Pretrained weights: converted checkpoints compute what an independent model of the same layout computes."""

import os

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from tokenmix.data.weights import read_weights
from tokenmix.errors import UserError
from tokenmix.models.build import build_model
from tokenmix.models.weights_start import start

PPAA = "s12-pptt-full_attn"
#: with these the model has the function of the checkpoint
SAME = {"norm": "channel", "head_dim": 32, "positions": "stage3", "drop_path": 0.0}


class Hybrid(nn.Module):
    """`metaformer_ppaa_s12_224` as its authors describe it: a list of stages, embeddings and one position map."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = self.projection(3, 64, 7, 4, 2)
        self.network = nn.ModuleList()
        before = 64
        for stage, (width, blocks) in enumerate(zip((64, 128, 320, 512), (2, 2, 6, 2), strict=True)):
            if stage:
                self.network.append(self.projection(before, width, 3, 2, 1))
            if stage == 2:
                self.network.append(nn.ParameterDict({"pos_embed": torch.randn(1, width, 14, 14)}))
            self.network.append(nn.ModuleList(self.block(width, attention=stage > 1) for _ in range(blocks)))
            before = width
        self.norm, self.head = self.affine(512), nn.Linear(512, 10)

    @staticmethod
    def projection(*arguments: int) -> nn.ModuleDict:
        return nn.ModuleDict({"proj": nn.Conv2d(*arguments)})

    @staticmethod
    def affine(width: int) -> nn.ParameterDict:
        return nn.ParameterDict({"weight": torch.rand(width) + 0.5, "bias": torch.randn(width) * 0.2})

    def block(self, width: int, attention: bool) -> nn.Module:
        block = nn.Module()
        block.norm1, block.norm2 = self.affine(width), self.affine(width)
        block.layer_scale_1 = nn.Parameter(torch.rand(width) * 0.4)
        block.layer_scale_2 = nn.Parameter(torch.rand(width) * 0.4)
        block.mlp = nn.ModuleDict({"fc1": nn.Conv2d(width, 4 * width, 1), "fc2": nn.Conv2d(4 * width, width, 1)})
        if attention:
            layers = {"qkv": nn.Linear(width, 3 * width, bias=False), "proj": nn.Linear(width, width)}
            block.token_mixer = nn.ModuleDict(layers)
        return block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed["proj"](x)
        for part in self.network:
            if isinstance(part, nn.ModuleDict):
                x = part["proj"](x)
            elif isinstance(part, nn.ParameterDict):
                x = x + part["pos_embed"]
            else:
                for block in part:
                    x = x + block.layer_scale_1[:, None, None] * self.mix(block, self.normed(block.norm1, x))
                    hidden = F.gelu(block.mlp["fc1"](self.normed(block.norm2, x)))
                    x = x + block.layer_scale_2[:, None, None] * block.mlp["fc2"](hidden)
        return self.head(self.normed(self.norm, x).mean((2, 3)))

    @staticmethod
    def normed(norm: nn.ParameterDict, x: torch.Tensor) -> torch.Tensor:
        mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        return (x - mean) / (variance + 1e-5).sqrt() * norm["weight"][:, None, None] + norm["bias"][:, None, None]

    @staticmethod
    def mix(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        if not hasattr(block, "token_mixer"):
            return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) - x
        width = x.shape[1]
        attention = nn.MultiheadAttention(width, width // 32, batch_first=True)
        attention.in_proj_weight = block.token_mixer["qkv"].weight
        attention.out_proj = block.token_mixer["proj"]
        sequence = x.flatten(2).mT
        return attention(sequence, sequence, sequence)[0].mT.unflatten(2, x.shape[2:])


@pytest.fixture(scope="module")
def hybrid() -> Hybrid:
    torch.manual_seed(0)
    return Hybrid().eval()


@pytest.fixture(scope="module")
def state(hybrid, tmp_path_factory) -> dict[str, torch.Tensor]:
    """The hybrid's checkpoint, written as its authors do and converted."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save(hybrid.state_dict(), folder / "metaformer.pth.tar")
    return read_weights(folder / "metaformer.pth.tar")


def started(name: str, state, init: str, *, size: int = 224, channels: int = 3, seed: int = 1, **options):
    torch.manual_seed(seed)
    model = build_model(name, channels=channels, classes=10, size=size, options=options).eval()
    return model, start(model, name, state, init)


def test_a_warm_start_keeps_the_function(hybrid, state):
    model, rows = started(PPAA, state, "warm", **SAME)
    model.head.load_state_dict(hybrid.head.state_dict())
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = hybrid(images)
        assert expected.std() > 0.05
        assert (model(images) - expected).abs().max() < 1e-4
    assert {row["tensor"] for row in rows if row["tensor"]} == set(model.state_dict())
    assert {row["from"] for row in rows if row["from"]} == set(state)
    assert {row["how"] for row in rows} == {"copied", "new: the head of this data set", "dropped"}
    assert {row["from"] for row in rows if row["how"] == "dropped"} == {"head.weight", "head.bias"}


def test_the_published_head_dimension_is_another_function(hybrid, state):
    model, _ = started(PPAA, state, "warm", **{**SAME, "head_dim": 16})
    model.head.load_state_dict(hybrid.head.state_dict())
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert (model(images) - hybrid(images)).abs().max() > 1e-3
    assert torch.equal(model.stages[2][0].mixer.qkv.weight, state["network.5.0.token_mixer.qkv.weight"])


def test_a_cold_start_has_new_attention_and_all_else_of_the_checkpoint(state):
    options = {"norm": "channel", "positions": "mixer"}
    model, rows = started(PPAA, state, "cold", size=64, **options)
    torch.manual_seed(1)
    fresh = build_model(PPAA, channels=3, classes=10, size=64, options=options).state_dict()
    for row in rows:
        if row["tensor"]:
            kept = torch.equal(model.state_dict()[row["tensor"]], fresh[row["tensor"]])
            assert kept == (row["from"] is None)
            assert kept == (".mixer." in row["tensor"] or row["tensor"].startswith("head."))
    dropped = {row["from"] for row in rows if row["tensor"] is None}
    assert {"network.4.pos_embed", "network.5.0.token_mixer.qkv.weight", "head.bias"} <= dropped
    assert len(dropped) == 1 + 2 + 8 * 3


def test_local_attention_takes_the_matrices_and_starts_without_a_bias(state):
    name = "s12-pptt-local_attn5"
    model, rows = started(name, state, "warm", size=64, norm="channel", positions="none")
    mixer = model.stages[3][1].mixer
    assert torch.equal(mixer.qkv.weight, state["network.7.1.token_mixer.qkv.weight"])
    assert torch.equal(mixer.out.bias, state["network.7.1.token_mixer.proj.bias"])
    assert not mixer.qkv.bias.any()
    how = {row["tensor"]: row["how"] for row in rows}
    assert how["stages.3.1.mixer.qkv.bias"].startswith("zero")
    cold, _ = started(name, state, "cold", size=64, norm="channel", positions="none")
    assert cold.stages[3][1].mixer.qkv.bias.any()
    assert not torch.equal(cold.stages[3][1].mixer.qkv.weight, mixer.qkv.weight)
    assert torch.equal(cold.stages[3][1].mlp.expand.weight, model.stages[3][1].mlp.expand.weight)


def test_grey_images_and_small_maps(hybrid, state):
    """A grey image is the colour image whose channels are all that image; positions are resized to the map."""
    grey, rows = started(PPAA, state, "warm", channels=1, **SAME)
    grey.head.load_state_dict(hybrid.head.state_dict())
    image = torch.randn(1, 1, 224, 224)
    with torch.no_grad():
        assert (grey(image) - hybrid(image.expand(-1, 3, -1, -1))).abs().max() < 1e-4
    how = {row["tensor"]: row["how"] for row in rows}
    assert how["embeddings.0.weight"] == "summed over the three colours"
    small, rows = started(PPAA, state, "warm", size=96, **SAME)
    assert small.embeddings[2][1].map_CHW.shape == (320, 6, 6)
    wide = F.interpolate(state["network.4.pos_embed"], (6, 6), mode="bicubic")[0]
    assert torch.equal(small.embeddings[2][1].map_CHW, wide)
    assert "resized from 14x14 to 6x6" in {row["how"] for row in rows}


@pytest.mark.parametrize("mixer", ["conv3", "identity", "random", "pooling5", "fcvit11"])
def test_mixers_without_attention_weights_start_new(state, mixer):
    model, rows = started(f"s12-pptt-{mixer}", state, "pretrained", size=64, norm="channel")
    assert torch.equal(model.stages[1][0].scale1[:, 0, 0], state["network.2.0.layer_scale_1"])
    assert all(row["from"] is None for row in rows if row["tensor"] and ".mixer." in row["tensor"])


def test_what_is_dropped_is_told_in_the_same_order_whatever_that_of_the_file(state):
    told = []
    for names in (state, reversed(state)):
        model = build_model("s12-pptt-conv3", channels=3, classes=2, size=64, options={"norm": "channel"})
        told.append(start(model, "s12-pptt-conv3", {name: state[name] for name in names}, "pretrained"))
    assert told[0] == told[1]


def test_a_second_position_map_is_dropped_and_stages_are_still_found(state):
    shifted = {}
    for name, value in state.items():
        shifted[name.replace("network.7.", "network.8.")] = value
    shifted["network.7.pos_embed"] = torch.zeros(1, 512, 7, 7)
    model, rows = started(PPAA, shifted, "warm", size=64, **SAME)
    assert torch.equal(model.stages[3][0].norm1.weight, state["network.7.0.norm1.weight"])
    assert {"tensor": None, "from": "network.7.pos_embed", "how": "dropped"} in rows


def test_timms_poolformer():
    torch.manual_seed(0)
    theirs = timm.create_model("poolformer_s12", num_classes=10).eval()
    name = "s12-tttt-pooling3"
    model, rows = started(name, theirs.state_dict(), "pretrained", size=64, channels=1, pool_first=True)
    model.head.load_state_dict(theirs.head.fc.state_dict())
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        assert (model(image) - theirs(image.expand(-1, 3, -1, -1))).abs().max() < 1e-5
    assert {row["tensor"] for row in rows if row["from"] is None} == {"head.weight", "head.bias"}


def test_timms_resnet():
    torch.manual_seed(0)
    theirs = timm.create_model("resnet18").eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
    model, rows = started("resnet18-k3", theirs.state_dict(), "pretrained", size=64, channels=1)
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        expected = theirs.forward_features(image.expand(-1, 3, -1, -1))
        assert (model.forward_features(image) - expected).abs().max() < 1e-4
    assert {row["tensor"] for row in rows if row["from"] is None} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(
    ("name", "init", "words"),
    [
        ("resnet18-k5", "pretrained", "no pretrained weights"),
        ("xs-pptt-full_attn", "warm", "no pretrained weights"),
        ("s12-tttt-local_attn5", "warm", "no pretrained weights"),
        ("s12-pptt-local_attn5+slopes", "warm", "no pretrained weights"),
        ("fcvit_tiny", "pretrained", "no pretrained weights"),
        ("s12-pptt-conv3", "warm", "did you|allowed: scratch, pretrained"),
        ("s12-pptt-full_attn", "pretrained", "allowed: scratch, warm, cold"),
        ("resnet18-k3", "cold", "allowed: scratch, pretrained"),
    ],
)
def test_initial_weights_that_a_model_cannot_have(name, init, words):
    with pytest.raises(UserError, match=words):
        start(nn.Identity(), name, {}, init)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("network.5.0.token_mixer.qkv.weight"), "lacks stages.2.0.mixer.qkv.weight"),
        (lambda s: s.pop("norm.bias"), "lacks norm.bias"),
        (lambda s: s.pop("network.4.pos_embed"), "lacks embeddings.2.1.map_CHW"),
        (
            lambda s: s.update({"network.5.6.norm1.weight": torch.zeros(320)}),
            "unknown tensors network.5.6.norm1.weight",
        ),
        (lambda s: s.update({"network.5.0.token_mixer.qkv.bias": torch.zeros(960)}), "qkv.bias: no weight of"),
        (lambda s: s.update({"extra": torch.zeros(1)}), "extra: no weight of"),
        (lambda s: s.update({"network.4.other": torch.zeros(1)}), "other: no weight of"),
        (lambda s: s.update({"norm.weight": torch.zeros(511)}), r"norm.weight is \(511,\), the model needs \(512,\)"),
    ],
)
def test_a_checkpoint_with_other_tensors_is_refused(state, change, words):
    changed = dict(state)
    change(changed)
    with pytest.raises(UserError, match=words):
        started(PPAA, changed, "warm", size=64, **SAME)


class _Code:
    """What a hostile pickle does when it is loaded."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def test_files_that_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "weights.pth"
    for content, words in (
        ({"a": torch.zeros(1), "b": _Code()}, "code"),
        ({"state_dict": {"a": torch.zeros(1)}}, "no plain state dict"),
        ([torch.zeros(1)], "no plain state dict"),
    ):
        torch.save(content, file)
        with pytest.raises(UserError, match=words):
            read_weights(file)
    assert not (tmp_path / "ran").exists()
    torch.save({"a": torch.arange(9)}, file)
    whole = file.read_bytes()
    for damaged in (b"", b"text", whole[:-50]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="fetch"):
            read_weights(file)
        (tmp_path / "weights.safetensors").write_bytes(damaged)
        with pytest.raises(UserError, match="fetch"):
            read_weights(tmp_path / "weights.safetensors")
