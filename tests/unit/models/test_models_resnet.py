"""ResNet18: timm's at kernel 3; at 5 and 7 both convolutions of every basic block are larger."""

import pytest
import timm
import torch

from tokenmix.models.build import build_model


def test_kernel_3_is_timms_model():
    torch.manual_seed(2)
    ours = build_model("resnet18-k3", channels=1, classes=4, size=28)
    torch.manual_seed(2)
    theirs = timm.create_model("resnet18", in_chans=1, num_classes=4)
    images = torch.randn(2, 1, 28, 28)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize("kernel", [5, 7])
def test_larger_kernels(kernel):
    ours = build_model(f"resnet18-k{kernel}", channels=3, classes=4, size=28)
    theirs = timm.create_model("resnet18", in_chans=3, num_classes=4)
    changed = {}
    for (name, weight), reference in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if weight.shape != reference.shape:
            changed[name] = weight
            assert weight.shape == (*reference.shape[:2], kernel, kernel)
            assert weight.std().item() == pytest.approx((2 / (weight.shape[0] * kernel**2)) ** 0.5, rel=0.05)
    assert set(changed) == {
        f"layer{layer}.{block}.conv{conv}.weight" for layer in (1, 2, 3, 4) for block in (0, 1) for conv in (1, 2)
    }
    images = torch.randn(2, 3, 45, 28)
    assert ours.forward_features(images).shape == theirs.forward_features(images).shape
