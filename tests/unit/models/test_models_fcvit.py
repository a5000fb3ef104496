"""FCViT: the published sizes, and its mixer against the formulas of the paper."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tokenmix.models.build import build_model
from tokenmix.models.mixers import fcvit
from tokenmix.models.site import Site


@pytest.mark.parametrize(
    ("name", "parameters", "blocks"),
    [
        ("fcvit_tiny", 4_784_752, (3, 3, 5, 2)),
        ("fcvit_b12", 14_701_832, (2, 2, 6, 2)),
        ("fcvit_b24", 26_960_232, (4, 4, 12, 4)),
        ("fcvit_b48", 51_477_032, (8, 8, 24, 8)),
    ],
)
def test_published_parameters(name, parameters, blocks):
    with torch.device("meta"):
        model = build_model(name, channels=3, classes=1000, size=224)
    assert sum(weight.numel() for weight in model.parameters()) == parameters
    assert tuple(map(len, model.stages)) == blocks
    assert model.grids == [(56, 56), (28, 28), (14, 14), (7, 7)]
    # rises evenly over the depth
    rates = torch.tensor([block.drop.p for stage in model.stages for block in stage], device="cpu")
    assert torch.allclose(rates, torch.linspace(0, 0.2 if name == "fcvit_b48" else 0.1, sum(blocks)), atol=1e-6)


def context(module: fcvit.GlobalContext, x: torch.Tensor) -> torch.Tensor:
    """One image (C, N) at a time, one head at a time."""
    width = x.shape[0] // 8
    mean = x.mean(1)
    heads = [slice(head * width, (head + 1) * width) for head in range(8)]
    likeness = torch.stack([mean[head] @ x[head] / width**0.5 for head in heads])
    likeness = (likeness - likeness.mean()) / (likeness.std() + 1e-5)
    first, second = (module.compete.weight @ mean + module.compete.bias).chunk(2)
    vector = module.expand.weight @ torch.maximum(first, second) + module.expand.bias
    parts = [
        x[head] + (likeness[i] * module.weight_h1N[i] + module.bias_h1N[i]) * vector[head][:, None]
        for i, head in enumerate(heads)
    ]
    return torch.cat(parts)


@pytest.mark.parametrize(("dim", "kernel"), [(32, 11), (160, 3)])
def test_the_mixer_is_the_papers(dim, kernel):
    torch.manual_seed(0)
    mixer = fcvit.Mixer(Site(dim, (5, 7)), kernel)
    for weight in mixer.parameters():  # away from ones and zeros
        weight.data.add_(torch.randn_like(weight), alpha=0.1)
    images = torch.randn(2, dim, 5, 7).contiguous(memory_format=torch.channels_last)
    for image, given in zip(images, mixer(images), strict=True):
        x = image
        for step in range(2):
            x = context(mixer.contexts[step], x.flatten(1)).unflatten(1, (5, 7))
            convolution, (inner, _, outer) = mixer.convolutions[step], mixer.bottlenecks[step]
            assert inner.weight.shape == (max(dim // 8, 16), dim, 1, 1)
            patches = F.unfold(x[None], kernel, padding=kernel // 2).view(dim, kernel**2, 5, 7)
            x = torch.einsum("cp,cphw->chw", convolution.weight.flatten(1), patches) + convolution.bias[:, None, None]
            hidden = F.gelu(torch.einsum("dc,chw->dhw", inner.weight[..., 0, 0], x) + inner.bias[:, None, None])
            x = F.gelu(torch.einsum("dc,chw->dhw", outer.weight[..., 0, 0], hidden) + outer.bias[:, None, None])
        assert torch.allclose(given, x, atol=1e-4)


def test_initial_weights():
    torch.manual_seed(0)
    model = build_model("fcvit_tiny", channels=3, classes=400, size=64)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert not module.bias.any()
    expected = {
        model.head: 0.02,
        model.embeddings[0][0]: (2 / (49 * 32)) ** 0.5,
        model.stages[2][0].mlp.depthwise: (2 / 9) ** 0.5,
        model.stages[2][0].mlp.expand: (2 / 640) ** 0.5,
        model.stages[2][0].mixer.convolutions[0]: (2 / 121) ** 0.5,
    }
    for module, std in expected.items():
        assert module.weight.std().item() == pytest.approx(std, rel=0.05)
    assert (model.stages[1][2].scale2 == 1e-5).all()


@pytest.mark.parametrize("size", [28, 33])
def test_the_whole_model_trains(size):
    torch.manual_seed(0)
    model = build_model("fcvit_tiny", channels=1, classes=3, size=size)
    images = torch.randn(3, 1, size, size)
    for stage in model.stages:
        for block in stage:
            nn.init.constant_(block.scale1, 0.5)
            block.drop.p = 0.0
    model(images).square().sum().backward()
    assert not [name for name, weight in model.named_parameters() if weight.grad is None]
    assert model.eval()(images).shape == (3, 3)
    # the mean over positions stands behind the last norm
    x = images
    for embedding, stage in zip(model.embeddings, model.stages, strict=True):
        x = stage(embedding(x))
    assert tuple(x.shape[2:]) == model.grids[-1]
    expected = model.head(F.group_norm(x, 1, model.norm.weight, model.norm.bias).mean((2, 3)))
    assert torch.allclose(model(images), expected, atol=1e-6)
