"""Extensions of local attention and of patch embedding: what they compute and what they add."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention

from tokenmix.models.attention import extended, extended_flex
from tokenmix.models.build import build_model

GRIDS = [(1, 1), (2, 5), (4, 4), (7, 3)]
BASE = "xs-tttt-local_attn5"
#: widths of S12, and of the layers that take the token from one to the next
WIDTHS = (64, 128, 320, 512)
PROJECTIONS = sum(before * width + width for before, width in itertools.pairwise(WIDTHS))


def build(name: str, size: int = 28, **options) -> nn.Module:
    torch.manual_seed(0)
    options = {"layer_scale": 0.5, **options}
    return build_model(name, channels=1, classes=3, size=size, options=options).eval()


def parameters(name: str) -> int:
    with torch.device("meta"):
        model = build_model(name, channels=3, classes=10, size=224)
    return sum(weight.numel() for weight in model.parameters())


def reference(qkv, grid, kernel, slope):
    """Pair by pair in float64; the token behind the map sees all and is seen by all."""
    _, tokens, _, heads, depth = qkv.shape
    places = [divmod(n, grid[1]) for n in range(math.prod(grid))]
    bias = torch.zeros(heads, tokens, tokens, dtype=torch.float64)
    towards = [lambda dy, dx: dx, lambda dy, dx: -dx, lambda dy, dx: dy, lambda dy, dx: -dy]
    for head in range(heads):
        for i, (y, x) in enumerate(places):
            for j, (v, u) in enumerate(places):
                near = max(abs(y - v), abs(x - u)) <= kernel // 2
                bias[head, i, j] = slope * towards[head % 4](v - y, u - x) if near else -math.inf
    q, k, v = qkv.double().unbind(2)
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * depth**-0.5 + bias
    return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("token", [0, 1])
@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_extended_attention_is_exact(grid, token, slope):
    torch.manual_seed(1)
    qkv = torch.randn(2, math.prod(grid) + token, 3, 6, 16, requires_grad=True)
    out, expected = extended.extended_attention(qkv, grid, 3, slope), reference(qkv, grid, 3, slope)
    weights = torch.randn_like(out)
    assert torch.allclose(out.double(), expected, atol=1e-5)
    gradients = [torch.autograd.grad((value * weights).sum(), qkv)[0] for value in (out, expected)]
    assert torch.allclose(*gradients, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("token", [0, 1])
@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_extended_attention_is_exact_on_a_gpu(token, slope):
    qkv = torch.randn(2, 9 * 4 + token, 3, 6, 16, device="cuda", requires_grad=True)
    out, expected = extended.extended_attention(qkv, (9, 4), 3, slope), reference(qkv.cpu(), (9, 4), 3, slope).cuda()
    weights = torch.randn_like(out)
    assert torch.allclose(out.double(), expected, atol=1e-5)
    gradients = [torch.autograd.grad((value * weights).sum(), qkv)[0] for value in (out, expected)]
    assert torch.allclose(*gradients, atol=1e-5)


def test_the_operator_meets_torchs_contract():
    qkv = torch.randn(2, 7, 3, 2, 8, requires_grad=True)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    operator = torch.ops.tokenmix.extended_attention.default
    torch.library.opcheck(operator, (qkv, [2, 3], 3, 0.1), test_utils=tests)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("token", [0, 1])
def test_flex_attention_has_the_same_scores(grid, token):
    tokens, heads = math.prod(grid) + token, 5
    places = torch.arange(tokens)
    q, k, head = places[:, None], places[None], torch.arange(heads)[:, None, None]
    scores = torch.zeros(heads, tokens, tokens)
    seen = extended_flex.sees(grid, 3)(0, head, q, k).expand_as(scores)
    given = extended_flex.leans(grid, 0.1)(scores, 0, head, q, k).masked_fill(~seen, -math.inf)
    assert torch.allclose(given, extended.bias(grid, 3, 0.1, heads, bool(token), torch.float32)[0])


def test_flex_attention_forward(monkeypatch):
    # uncompiled, as the CPU allows; the compiled function is the same one
    monkeypatch.setattr(extended_flex, "compiled", lambda: flex_attention)
    grid, qkv = (4, 5), torch.randn(2, 21, 3, 4, 16)
    with torch.no_grad():
        out = extended_flex.extended_attention(qkv, grid, 3, 0.1)
    assert torch.allclose(out, extended.extended_attention(qkv, grid, 3, 0.1), atol=1e-5)


@pytest.mark.parametrize(
    ("extensions", "more"),
    [
        ("+slopes", 0),
        ("+coordmlp", sum(2 * 16 + 16 + 16 * width + width for width in WIDTHS)),
        # a 1x1 convolution without bias in place of 7x7 or 3x3 with bias
        ("+bilinear", -48 * 3 * 64 - 8 * (64 * 128 + 128 * 320 + 320 * 512) - sum(WIDTHS)),
        ("+cls", 64 + PROJECTIONS),
        ("+register", 64 + PROJECTIONS),
    ],
)
def test_what_an_extension_adds_to_the_parameters(extensions, more):
    assert parameters(f"s12-tttt-local_attn5{extensions}") - parameters("s12-tttt-local_attn5") == more


@pytest.mark.parametrize("extensions", ["+slopes", "+coordmlp", "+bilinear", "+cls", "+register", "+bilinear+slopes"])
def test_extended_models_train_and_their_weights_can_be_stored(extensions):
    model, images = build(BASE + extensions, drop_path=0.0), torch.randn(2, 1, 28, 28)
    model.train()(images).square().sum().backward()
    assert not [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    torch.manual_seed(7)
    other = build_model(BASE + extensions, channels=1, classes=3, size=28, options={"layer_scale": 0.5}).eval()
    assert not torch.equal(model.eval()(images), other(images))
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(images), other(images))
    assert not torch.allclose(model(images), build(BASE)(images), atol=1e-4)


@pytest.mark.parametrize("extensions", ["+slopes", "+coordmlp", "+cls", "+register"])
def test_what_is_shared_starts_from_the_same_weights(extensions):
    base, extended_model = build(BASE), build(BASE + extensions)
    for ours, theirs in zip(base.stages, extended_model.stages, strict=True):
        weights = theirs.state_dict()
        assert all(torch.equal(weight, weights[name]) for name, weight in ours.state_dict().items())


def test_slopes_move_a_lone_pixel_apart_by_head():
    """Values that are the positions themselves: a head that leans to a side returns a mean on that side."""
    grid = (5, 5)
    place = torch.stack(torch.meshgrid(*(torch.arange(5.0),) * 2, indexing="ij"), -1).reshape(25, 2)
    qkv = torch.zeros(1, 25, 3, 4, 16)
    qkv[0, :, 2, :, :2] = place[:, None]
    moved = extended.extended_attention(qkv, grid, 3, 0.1)[0, 12, :, :2] - place[12]
    assert [[round(v) for v in (row * 10).sign().tolist()] for row in moved.where(moved.abs() > 1e-5, 0.0)] == [
        [0, 1],
        [0, -1],
        [1, 0],
        [-1, 0],
    ]


def test_coordinates_are_added_before_every_stage():
    base, model = build(BASE), build(BASE + "+coordmlp")
    for stage, grid in enumerate(base.grids):
        added = model.embeddings[stage][1]
        axes = [torch.linspace(-1, 1, side) for side in grid]
        expected = torch.empty(*grid, base.widths[stage])
        for y, v in enumerate(axes[0]):
            for x, u in enumerate(axes[1]):
                hidden = added.expand.weight @ torch.stack([v, u]) + added.expand.bias
                expected[y, x] = added.contract(hidden.where(hidden > 0, 0.01 * hidden))
        x_BCHW = torch.randn(2, base.widths[stage], *grid)
        assert torch.allclose(added(x_BCHW), x_BCHW + expected.permute(2, 0, 1), atol=1e-6)


def test_bilinear_embedding_sees_the_middle_of_its_patch_only():
    """At a quarter of the size, bilinear interpolation is the mean of the inner four of sixteen cells."""
    embedding = build("s12-tttt-local_attn5+bilinear", size=32).embeddings[0]
    images = torch.randn(2, 1, 32, 32)
    middle = F.avg_pool2d(
        images.unflatten(2, (8, 4)).unflatten(4, (8, 4))[:, :, :, 1:3, :, 1:3].reshape(2, 1, 16, 16), 2
    )
    expected = torch.einsum("dc,bchw->bdhw", embedding.weight[:, :, 0, 0], middle)
    assert torch.allclose(embedding(images), expected, atol=1e-6)
    assert embedding.bias is None


@pytest.mark.parametrize("extension", ["cls", "register"])
def test_the_global_token_is_one_more_position(extension):
    """The whole model again, from its definition: a sequence whose last token all see, by PyTorch's attention."""
    model = build(f"{BASE}+{extension}")
    images = torch.randn(2, 1, 28, 28)
    x, token = images, model.embeddings[0].token_C.expand(2, -1)
    for stage, (width, (height, breadth)) in enumerate(zip(model.widths, model.grids, strict=True)):
        embedding = model.embeddings[stage]
        x = embedding.embedding(x)
        token = token if stage == 0 else embedding.project(token)
        tokens = torch.cat([x.flatten(2).mT, token[:, None]], 1)
        places = torch.cartesian_prod(torch.arange(height), torch.arange(breadth))
        hidden = F.pad((places[:, None] - places).abs().amax(-1) > 2, (0, 1, 0, 1), value=False)
        for block in model.stages[stage]:
            attention = nn.MultiheadAttention(width, width // 16, batch_first=True).eval()
            attention.in_proj_weight.data, attention.in_proj_bias.data = block.mixer.qkv.weight, block.mixer.qkv.bias
            attention.out_proj = block.mixer.out
            normed = F.layer_norm(tokens, tokens.shape[1:])  # over tokens and channels, as one group does
            normed = normed * block.norm1.weight + block.norm1.bias
            mixed = attention(normed, normed, normed, attn_mask=hidden, need_weights=False)[0] - normed
            tokens = tokens + block.scale1.flatten() * mixed
            normed = F.layer_norm(tokens, tokens.shape[1:]) * block.norm2.weight + block.norm2.bias
            hidden_layer = F.gelu(F.linear(normed, block.mlp.expand.weight, block.mlp.expand.bias))
            mixed = F.linear(hidden_layer, block.mlp.contract.weight, block.mlp.contract.bias)
            tokens = tokens + block.scale2.flatten() * mixed
        x, token = tokens[:, :-1].mT.unflatten(2, (height, breadth)), tokens[:, -1]
    normed = F.layer_norm(tokens, tokens.shape[1:]) * model.norm.weight + model.norm.bias
    expected = model.head(normed[:, -1] if extension == "cls" else normed[:, :-1].mean(1))
    assert torch.allclose(model(images), expected, atol=1e-5)


def test_extensions_stand_with_small_map_fallback_and_any_size():
    for name in ("s12-tttt-local_attn3+slopes+cls", "xs-tttt-local_attn3+bilinear+coordmlp+register"):
        for size in (7, 29):
            model = build(name, size, small_map_fallback=True, positions="stage3", norm="channel")
            assert model(torch.randn(1, 1, size, size)).shape == (1, 3)
