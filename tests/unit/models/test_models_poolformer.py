"""The pooling model is timm's PoolFormer-S12: the same numbers with the same weights."""

import pytest
import timm
import torch
from torch.nn import functional as F

from tokenmix.errors import UserError
from tokenmix.models.build import build_model
from tokenmix.models.weights import from_timm


def pair(size: int, **options):
    """timm's model with weights far from their initial ones, and ours with the same."""
    torch.manual_seed(3)
    theirs = timm.create_model("poolformer_s12", num_classes=5).eval()
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            if "scale" in name:
                weight.uniform_(0.2, 0.6)  # at 1e-5 every block would be the identity
            elif weight.ndim == 1:
                weight.add_(torch.randn_like(weight), alpha=0.2)
    ours = build_model("s12-tttt-pooling3", channels=3, classes=5, size=size, options={"drop_path": 0.0, **options})
    ours.load_state_dict(from_timm(theirs.state_dict()))
    return theirs, ours.eval()


@pytest.mark.parametrize("size", [96, 75, 28])
def test_logits_and_gradients_are_those_of_timm(size):
    theirs, ours = pair(size, pool_first=True)
    images, labels = torch.randn(3, 3, size, size), torch.tensor([0, 4, 2])
    logits, expected = ours(images), theirs(images)
    assert (logits - expected).abs().max() < 1e-5
    assert expected.std() > 0.01
    F.cross_entropy(logits, labels).backward()
    F.cross_entropy(expected, labels).backward()
    reference = from_timm({name: weight.grad for name, weight in theirs.named_parameters()})
    gradients = {name: weight.grad for name, weight in ours.named_parameters()}
    assert gradients.keys() == reference.keys()
    for name, gradient in gradients.items():
        assert (gradient - reference[name]).abs().max() < 1e-5, name


def test_the_study_norms_before_it_averages():
    theirs, ours = pair(96)
    images = torch.randn(2, 3, 96, 96)
    features = theirs.forward_features(images)
    assert (ours.features(images) - features).abs().max() < 1e-4 * features.abs().max()
    # the authors' own head: GroupNorm with one group over the last map, mean over positions, linear
    norm, head = theirs.head.norm, theirs.head.fc
    expected = head(F.group_norm(features, 1, norm.weight, norm.bias).mean((2, 3)))
    assert (ours(images) - expected).abs().max() < 1e-5
    assert (ours(images) - theirs(images)).abs().max() > 1e-3


def test_a_foreign_weight_is_refused():
    with pytest.raises(UserError, match="token_mixer"):
        from_timm({"stages.0.blocks.0.token_mixer.qkv.weight": torch.zeros(1)})
