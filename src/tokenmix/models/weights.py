"""Weights from other implementations, renamed and reshaped to fit ours.

A layout is a function from a foreign state dict to ours: our name -> (their name, their values in our shape).
"""

import re
from collections.abc import Mapping

from torch import Tensor

from tokenmix.errors import UserError

Renamed = dict[str, tuple[str, Tensor]]

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

#: the same for a block of the MetaFormers of their authors
_FROM_AUTHORS = (
    (r"norm(\d)\.", r"norm\1."),
    (r"layer_scale_(\d)$", r"scale\1"),
    (r"mlp\.fc1\.", "mlp.expand."),
    (r"mlp\.fc2\.", "mlp.contract."),
    (r"token_mixer\.qkv\.weight$", "mixer.qkv.weight"),
    (r"token_mixer\.proj\.", "mixer.out."),
)


def from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of timm's `poolformer_s12`, for `s12-tttt-pooling3`; raises UserError for other names.

    timm averages before its last norm: logits agree only under the option `pool_first`.
    """
    return {ours: value for ours, (_, value) in poolformer(state).items()}


def poolformer(state: Mapping[str, Tensor]) -> Renamed:
    """The layout of timm's `poolformer_s12`."""
    return _renamed(state, {name: _replaced(name, _FROM_TIMM) for name in state}, "timm's PoolFormer")


def resnet(state: Mapping[str, Tensor]) -> Renamed:
    """The layout of timm's `resnet18`, whose names are ours."""
    return {name: (name, value) for name, value in state.items()}


def metaformer(state: Mapping[str, Tensor]) -> Renamed:
    """The layout of `metaformer_ppaa_s12_224` by the authors of MetaFormer (sail-sg/poolformer, release v1.0).

    Its `network` is a list of stages, of patch embeddings between them and of position maps before some of them.
    A map before stage s (from 0) is called `positions.s` here; no model has that name, see `start`.
    """
    parts: dict[int, str] = {}
    for name in state:
        if match := re.match(r"network\.(\d+)\.(pos_embed$|proj\.)?", name):
            parts[int(match[1])] = {"pos_embed": "positions", "proj.": "embeddings"}.get(match[2] or "", "stages")
    # a patch embedding opens a stage, except the first one's, which stands in front of the list
    stage, places = 0, {}
    for number, kind in sorted(parts.items()):
        stage += kind == "embeddings"
        places[str(number)] = f"{kind}.{stage}"
    names = {name: _authors_name(name, places) for name in state}
    return _renamed(state, names, "the layout metaformer_ppaa_s12_224")


def _authors_name(name: str, places: Mapping[str, str]) -> str | None:
    if re.match(r"(norm|head)\.", name):
        return name
    if name.startswith("patch_embed.proj."):
        return name.replace("patch_embed.proj", "embeddings.0")
    match = re.fullmatch(r"network\.(\d+)\.(.+)", name)
    place = places[match[1]] if match else ""
    if match and place.startswith("positions"):
        return place if match[2] == "pos_embed" else None
    if match and place.startswith("embeddings"):
        return _replaced(match[2], ((r"proj\.", f"{place}."),))
    if match and (block := re.fullmatch(r"(\d+)\.(.+)", match[2])):
        inner = _replaced(block[2], _FROM_AUTHORS)
        return inner and f"{place}.{block[1]}.{inner}"
    return None


def _replaced(name: str, patterns: tuple[tuple[str, str], ...]) -> str | None:
    for pattern, replacement in patterns:
        new_name, matches = re.subn(f"^{pattern}", replacement, name)
        if matches:
            return new_name
    return None


def _renamed(state: Mapping[str, Tensor], names: Mapping[str, str | None], layout: str) -> Renamed:
    unknown = [name for name, ours in names.items() if ours is None]
    if unknown:
        raise UserError(
            f"{', '.join(unknown[:3])}: no weight of {layout}; choose the checkpoint that belongs to the model"
        )
    return {ours: (name, _reshaped(ours, state[name])) for name, ours in names.items() if ours is not None}


def _reshaped(name: str, value: Tensor) -> Tensor:
    if re.search(r"scale\d$", name):
        return value[:, None, None]
    if ".mlp." in name and value.ndim == 4:  # a 1x1 convolution is a linear layer
        return value.flatten(1)
    if name.startswith("positions"):  # (1, C, H, W)
        return value[0]
    return value
