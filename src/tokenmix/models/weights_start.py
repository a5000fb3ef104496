"""Start a model from pretrained weights, and say for each tensor where it came from.

Whatever has no counterpart keeps the initial values that the model was built with: the head always, and the mixers
of a cold start. The function of the checkpoint is kept where the model has its norm (`norm: channel` for the hybrid),
its position map (`positions: stage3`) and, in a warm start, its head dimension (32) and global attention.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tokenmix.errors import UserError
from tokenmix.models import weights
from tokenmix.study.grammar import init_problem, parse_model

LAYOUTS = {
    "poolformer_s12": weights.poolformer,
    "resnet18": weights.resnet,
    "metaformer_ppaa_s12_224": weights.metaformer,
}
#: our tensor (None: nothing took it), the checkpoint's (None: new values), what was done
Row = dict[str, str | None]

_HEAD = re.compile(r"(head|fc)\.")
_MIXER = re.compile(r"stages\.\d+\.\d+\.mixer\.")

#: what a checkpoint's attention has
_REUSED = re.compile(r"mixer\.(qkv\.weight|out\.weight|out\.bias)$")


def start(model: nn.Module, name: str, state: Mapping[str, Tensor], init: str) -> list[Row]:
    """Overwrite the initial weights of `model`, in place, with those of a checkpoint.

    Args:
        model: as `build_model` made it.
        name: its name, which says what checkpoint it needs (`ModelSpec.checkpoint`).
        state: the checkpoint's tensors in their own layout.
        init: `warm` (attention weights are reused) or `cold` for mixers with attention, else `pretrained`.

    Returns: a row for every tensor of the model, then one for every tensor of the checkpoint that was not used.
    Raises UserError for a model without pretrained weights, and for missing, additional or misshapen tensors.
    """
    if problem := init_problem(name, init):
        raise UserError(problem)
    checkpoint = parse_model(name).checkpoint
    assert checkpoint is not None  # as init_problem says
    source = LAYOUTS[checkpoint](state)
    rows: list[Row] = []
    missing, taken = [], set()
    with torch.no_grad():
        for ours, target in model.state_dict().items():
            key = _source_name(ours)
            if _HEAD.match(ours):
                rows.append(_row(ours, None, "new: the head of this data set"))
            elif _MIXER.match(ours) and (init != "warm" or not _REUSED.search(ours)):
                rows.append(_row(ours, None, _new_mixer(ours, target, init)))
            elif key not in source:
                missing.append(ours)
            else:
                theirs, value = source[key]
                value, how = _fitted(key, value, target, f"{checkpoint}: {theirs}")
                target.copy_(value)
                rows.append(_row(ours, theirs, how))
                taken.add(key)
    unused = source.keys() - taken
    unknown = sorted(source[key][0] for key in unused if not re.match(r"head|fc|positions|stages\.\d\.\d\.mixer", key))
    for words, names in (("lacks", missing), ("has the unknown tensors", unknown)):
        if names:
            raise UserError(
                f"the checkpoint {checkpoint} {words} {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}; "
                f"for {name}; choose the released file, untouched"
            )
    # sorted: a file of safetensors lists its tensors in an order of chance
    return rows + [_row(None, source[key][0], "dropped") for key in sorted(unused)]


def _row(ours: str | None, theirs: str | None, how: str) -> Row:
    return {"tensor": ours, "from": theirs, "how": how}


def _source_name(ours: str) -> str:
    """The name of our tensor in a layout: a position map stands behind its patch embedding in our models."""
    return re.sub(r"embeddings\.(\d)\.1\.map_CHW", r"positions.\1", re.sub(r"(embeddings\.\d)\.0\.", r"\1.", ours))


def _new_mixer(ours: str, target: Tensor, init: str) -> str:
    if init == "warm" and ours.endswith("qkv.bias"):
        target.zero_()
        return "zero: the checkpoint's attention has no such bias"
    return "new: initial values"


def _fitted(name: str, value: Tensor, target: Tensor, where: str) -> tuple[Tensor, str]:
    """A tensor of the checkpoint in the shape of ours, and what that took."""
    how = "copied"
    if name in ("embeddings.0.weight", "conv1.weight") and target.shape[1] == 1 and value.shape[1:2] == (3,):
        value, how = value.sum(1, keepdim=True), "summed over the three colours"
    elif name.startswith("positions") and value.shape[1:] != target.shape[1:]:
        old, new = ("x".join(map(str, tensor.shape[1:])) for tensor in (value, target))
        value = F.interpolate(value[None], size=target.shape[1:], mode="bicubic", align_corners=False)[0]
        how = f"resized from {old} to {new}"
    if value.shape != target.shape:
        raise UserError(
            f"{where} is {tuple(value.shape)}, the model needs {tuple(target.shape)}; "
            "pretrained weights fit images of one or three channels and the released file"
        )
    return value, how
