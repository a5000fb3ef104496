"""Weights from other implementations, renamed to fit ours."""

import re
from collections.abc import Mapping

from torch import Tensor

#: timm's names of PoolFormer's weights -> ours; a pattern stands for the whole beginning of a name
_FROM_TIMM = (
    (r"stem\.conv\.", r"embeddings.0."),
    (r"stages\.(\d+)\.downsample\.conv\.", r"embeddings.\1."),
    (r"stages\.(\d+)\.blocks\.(\d+)\.norm(\d)\.", r"stages.\1.\2.norm\3."),
    (r"stages\.(\d+)\.blocks\.(\d+)\.layer_scale(\d)\.scale", r"stages.\1.\2.scale\3"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.", r"stages.\1.\2.mlp.expand."),
    (r"stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.", r"stages.\1.\2.mlp.contract."),
    (r"head\.norm\.", "norm."),
    (r"head\.fc\.", "head."),
)


def from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of timm's `poolformer_s12`, for `s12-tttt-pooling3`; raises KeyError for other names.

    timm averages before its last norm: logits agree only under the option `pool_first`.
    """
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in _FROM_TIMM:
            new_name, matches = re.subn(f"^{pattern}", replacement, name)
            if matches:
                break
        else:
            raise KeyError(f"{name} is not a weight of timm's PoolFormer")
        if re.search(r"scale\d$", new_name):
            value = value[:, None, None]
        elif ".mlp." in new_name and value.ndim == 4:  # a 1x1 convolution is a linear layer
            value = value.flatten(1)
        renamed[new_name] = value
    return renamed
