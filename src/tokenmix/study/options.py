"""The options that a model is built with: those of the config, and what belongs to published weights in their place."""

from collections.abc import Mapping
from typing import Any

from tokenmix.study.grammar import ATTENTION, parse_model

#: Attention takes over the function of its weights with heads as wide as they were trained with.
HEAD_DIM_OF_WEIGHTS = 32
#: Weights mean something under the norm that they were trained with.
NORM_OF_WEIGHTS = {"poolformer_s12": "group", "metaformer_ppaa_s12_224": "channel"}


def options_of(model: str, init: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a model with these initial weights. settings: the section `model` of the config."""
    spec = parse_model(model)
    # options of token mixers mean nothing to a ResNet, so changing one must not retrain it
    if spec.family != "metaformer":
        return {}
    options = {name: value for name, value in settings.items() if name != "warm_heads"}
    if init != "scratch":
        assert spec.checkpoint is not None  # as the check of the config says
        options["norm"] = NORM_OF_WEIGHTS[spec.checkpoint]
        # as published, global attention alone keeps its heads, and only where it keeps its weights
        keeps = settings["warm_heads"] == "checkpoint" or (spec.mixer == "full_attn" and init != "cold")
        if spec.mixer in ATTENTION and keeps:
            options["head_dim"] = HEAD_DIM_OF_WEIGHTS
    return options


def matched_init(model: str, settings: Mapping[str, Any]) -> str:
    """How the network of a pretrained model is trained from scratch: `matched`, or `scratch` where that is the same."""
    if parse_model(model).family != "metaformer":
        return "scratch"
    matched, plain = (
        {**options, "norm": norm_of(options["norm"], parse_model(model).arrangement)}
        for options in (options_of(model, init, settings) for init in ("matched", "scratch"))
    )
    return "scratch" if matched == plain else "matched"


def norm_of(norm: str, arrangement: str | None) -> str:
    """The norm that the option `norm` means for an arrangement: group or channel."""
    if norm != "by_arrangement":
        return norm
    return "channel" if "p" in (arrangement or "") else "group"
