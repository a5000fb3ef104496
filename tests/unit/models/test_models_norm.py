"""The norm by option: one for all arrangements, or the published study's choice."""

import pytest
import torch
from torch import nn

from tokenmix.models.build import build_model


def build(name: str, **options) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(name, channels=1, classes=3, size=28, options={"layer_scale": 0.5, **options}).eval()
    for weight in model.parameters():
        if weight.ndim == 1:
            weight.data.add_(torch.randn_like(weight), alpha=0.3)
    return model


IMAGES = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def by_position(self, x_BCHW: torch.Tensor) -> torch.Tensor:
    """The formula of layer norm over the channels, in place of a norm's own forward."""
    mean, variance = x_BCHW.mean(1, keepdim=True), x_BCHW.var(1, keepdim=True, unbiased=False)
    normed = (x_BCHW - mean) / (variance + 1e-5).sqrt()
    return normed * self.weight[:, None, None] + self.bias[:, None, None]


@pytest.mark.parametrize("name", ["xs-pptt-conv3", "xs-tttt-pooling3"])
def test_channel_norm_normalises_each_position(name, monkeypatch):
    given = build(name, norm="channel")(IMAGES)
    group = build(name)
    assert not torch.allclose(given, group(IMAGES), atol=1e-3)
    monkeypatch.setattr(nn.GroupNorm, "forward", by_position)
    assert torch.allclose(given, group(IMAGES), atol=1e-5)


@pytest.mark.parametrize(("arrangement", "norm"), [("tttt", "group"), ("pptt", "channel"), ("tptp", "channel")])
def test_the_published_norm_follows_the_arrangement(arrangement, norm):
    name = f"xs-{arrangement}-local_attn3"
    assert torch.equal(build(name, norm="by_arrangement")(IMAGES), build(name, norm=norm)(IMAGES))


def test_norms_have_the_same_weights():
    shapes = [
        {n: w.shape for n, w in build("xs-pptt-conv3", norm=norm).state_dict().items()} for norm in ("group", "channel")
    ]
    assert shapes[0] == shapes[1]
