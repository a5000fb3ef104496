"""The grammar of model names: `xs-pptt-local_attn5`, `s12-tttt-identity`, `resnet18-k3`.

    <scale>-<arrangement>-<mixer><kernel?><+extension>*    scale: s12 or xs; arrangement: one letter a stage
    resnet18-k<3|5|7>
    fcvit_<tiny|b12|b24|b48>

In an arrangement `t` stands for the named mixer (`study.mixers`) and `p` for 3x3 pooling. An extension is a file
of `models/extensions`: `s12-tttt-local_attn5+slopes`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.study.mixers import MIXER_FOLDER, mixer_module, mixers

SCALES = ("s12", "xs")
STAGES = 4
RESNET_KERNELS = (3, 5, 7)
FCVIT_SCALES = ("tiny", "b12", "b24", "b48")
#: Kernels of mixers are odd, from 3 to this.
LARGEST_KERNEL = 99
#: Extension -> the mixers that can have it, or None for all. They stand in a name in this order, which is that
#: in which they change a model.
EXTENSIONS: dict[str, tuple[str, ...] | None] = {
    "bilinear": None,
    "coordmlp": None,
    "slopes": ("local_attn",),
    "cls": ("local_attn",),
    "register": ("local_attn",),
}
#: Mixers with attention weights, which a warm start reuses and a cold start does not.
ATTENTION = ("full_attn", "local_attn")
#: Starts without weights: plain, or of the network that a model with published weights is.
FROM_SCRATCH = ("scratch", "matched")
#: Both are the global token; it has to be seen in every stage.
TOKENS = ("cls", "register")
_EXAMPLE = "write it like `xs-tttt-pooling3` or `resnet18-k3`"


@dataclass(frozen=True)
class ModelSpec:
    """A model's name, taken apart; fields a family does not have are None."""

    name: str
    family: str
    scale: str | None = None
    arrangement: str | None = None
    mixer: str | None = None
    kernel: int | None = None
    extensions: tuple[str, ...] = ()

    @property
    def checkpoint(self) -> str | None:
        """The published weights from which this model can start, or None."""
        if self.extensions:
            return None
        if self.name == "resnet18-k3":
            return "resnet18"
        if self.name == "s12-tttt-pooling3":
            return "poolformer_s12"
        return "metaformer_ppaa_s12_224" if (self.scale, self.arrangement) == ("s12", "pptt") else None

    def modules(self, init: str = "scratch") -> tuple[str, ...]:
        """The modules this model needs beside the builder's: its family, its mixers and extensions, none else.

        A start from published weights needs their loaders as well.
        """
        loaders = () if init in FROM_SCRATCH else ("tokenmix.models.weights_start",)
        if self.family != "metaformer":
            return (f"tokenmix.models.{self.family}", *loaders)
        names = ["pooling", self.mixer] if "p" in (self.arrangement or "") else [self.mixer]
        mixers = (mixer_module(name) for name in dict.fromkeys(names) if name)
        extensions = (f"tokenmix.models.extensions.{name}" for name in self.extensions)
        return ("tokenmix.models.metaformer", *mixers, *extensions, *loaders)


def metaformer_name(scale: str, arrangement: str, mixer: str, kernel: int | None = None) -> str:
    """The name of a MetaFormer; `parse_model` is its inverse. `mixer` may have extensions: `local_attn+slopes`."""
    base, plus, extensions = mixer.partition("+")
    return f"{scale}-{arrangement}-{base}{'' if kernel is None else kernel}{plus}{extensions}"


def parse_model(name: str, folder: Path = MIXER_FOLDER) -> ModelSpec:
    """Take a model's name apart.

    Raises UserError with every mistake of the name (unknown scale or mixer, wrong arrangement, wrong kernel),
    the nearest valid words and the allowed ones.
    """
    family = re.fullmatch(r"resnet(\d*)(?:-(.*))?", name, re.ASCII | re.DOTALL)
    if family:
        kernel = re.fullmatch(r"k([1-9]\d*)", family[2] or "", re.ASCII)
        if family[1] == "18" and kernel and int(kernel[1][:4]) in RESNET_KERNELS:
            return ModelSpec(name, "resnet", kernel=int(kernel[1]))
        allowed = ", ".join(f"resnet18-k{kernel}" for kernel in RESNET_KERNELS)
        raise UserError(f"{quote(name)}: unknown ResNet; allowed: {allowed}")
    if name.startswith("fcvit"):
        scale = name.removeprefix("fcvit_")
        if scale in FCVIT_SCALES:
            return ModelSpec(name, "fcvit", scale)
        raise UserError(f"{quote(name)}: unknown FCViT{nearest(name, [f'fcvit_{known}' for known in FCVIT_SCALES])}")
    parts = name.split("-")
    if len(parts) != 3:
        raise UserError(f"{quote(name)}: unknown model; {_EXAMPLE}")
    scale, arrangement, last = parts
    known = mixers(folder)
    last, *extensions = last.split("+")
    mixer, kernel_text = _split_mixer(last)
    problems = []
    if scale not in SCALES:
        problems.append(f"unknown scale {quote(scale)}{nearest(scale, SCALES)}")
    problems += filter(None, [arrangement_problem(arrangement)])
    kernel_value = int(kernel_text) if kernel_text and len(kernel_text) < 5 else None
    if kernel_text and (kernel_value is None or kernel_text != str(kernel_value)):
        problems.append(f"the kernel {quote(kernel_text)} is not an odd number from 3 to {LARGEST_KERNEL}")
    else:
        problems += mixer_problems(mixer, kernel_value, known)
    problems += extension_problems(extensions, mixer, arrangement)
    if problems:
        raise UserError(f"{quote(name)}: {'; '.join(problems)}")
    return ModelSpec(name, "metaformer", scale, arrangement, mixer, kernel_value, tuple(extensions))


def _split_mixer(text: str) -> tuple[str, str]:
    # no mixer's name ends with a digit, so what ends the text in digits is the kernel
    match = re.fullmatch(r"(.*?)([0-9]*)", text, re.DOTALL)
    assert match is not None
    return match[1], match[2]


def arrangement_problem(arrangement: str) -> str | None:
    """What is wrong with an arrangement, or None."""
    if len(arrangement) != STAGES or set(arrangement) - {"t", "p"}:
        return (
            f"arrangement {quote(arrangement)} must be {STAGES} letters, one a stage: t (the mixer) or "
            "p (3x3 pooling), like tttt or pptt"
        )
    if "t" not in arrangement:
        return f"arrangement {quote(arrangement)} never uses the mixer; for pooling alone write tttt-pooling3"
    return None


def mixer_problems(mixer: str, kernel: int | None, known: dict[str, bool]) -> list[str]:
    """What is wrong with a mixer and its kernel."""
    if mixer not in known:
        return [f"unknown mixer {quote(mixer)}{nearest(mixer, known)}"]
    if not known[mixer]:
        return [] if kernel is None else [f"the mixer `{mixer}` takes no kernel, {kernel} was given"]
    if kernel is None:
        return [f"the mixer `{mixer}` needs a kernel, like {mixer}3"]
    if not 3 <= kernel <= LARGEST_KERNEL or kernel % 2 == 0:
        hint = f"; the nearest are {kernel - 1} and {kernel + 1}" if 4 <= kernel < LARGEST_KERNEL else ""
        return [f"the kernel of `{mixer}` is an odd number from 3 to {LARGEST_KERNEL}, not {kernel}{hint}"]
    return []


def extension_problems(extensions: list[str], mixer: str, arrangement: str) -> list[str]:
    """What is wrong with a model's extensions."""
    unknown = [name for name in extensions if name not in EXTENSIONS]
    if unknown:
        return [f"unknown extension {quote(name)}{nearest(name, EXTENSIONS)}" for name in unknown]
    problems = []
    for name in extensions:
        allowed = EXTENSIONS[name]
        if allowed is not None and mixer not in allowed:
            problems.append(f"the mixer {quote(mixer)} cannot have `+{name}`, only {', '.join(allowed)} can")
    if extensions != (ordered := [name for name in EXTENSIONS if name in extensions]):
        problems.append(f"extensions are written once and in this order: +{'+'.join(ordered)}")
    tokens = [name for name in TOKENS if name in extensions]
    if len(tokens) > 1:
        problems.append(f"`+{'` and `+'.join(tokens)}` exclude each other: there is one global token")
    if tokens and "p" in arrangement:
        problems.append(f"`+{tokens[0]}` needs attention in all stages, the arrangement tttt: pooling sees no token")
    return problems


def pretrained_inits(name: str) -> tuple[str, ...]:
    """How a model can start from published weights: its own attention is reused or not, or it has none."""
    return ("warm", "cold") if parse_model(name).mixer in ATTENTION else ("pretrained",)


def volume_problem(name: str) -> str | None:
    """What keeps a model, or a mixer with its extensions (`local_attn+slopes`), from volumes, or None."""
    base, _, extensions = name.partition("+")
    if extensions:
        return f"{quote(name)}: extensions are made for two-dimensional images; leave out `+{extensions}`"
    if base.rpartition("-")[2].startswith("fcvit"):
        return f"{quote(name)} is made for two-dimensional images; choose another model or mixer for volumes"
    return None


def init_problem(name: str, init: str) -> str | None:
    """What is wrong with these initial weights for a model, or None; raises UserError for an unknown model."""
    spec = parse_model(name)
    if init == "scratch":
        return None
    if spec.checkpoint is None:
        return f"{quote(name)} has no pretrained weights; only resnet18-k3, s12-tttt-pooling3 and s12-pptt-* do"
    allowed = pretrained_inits(name)
    if init in allowed:
        return None
    return f"{quote(name)} cannot start {quote(init)}{nearest(init, ('scratch', *allowed))}"


def nearest(word: str, allowed: Iterable[str]) -> str:
    """`; did you mean ...? allowed: ...`, ready to follow a statement about a wrong word."""
    names = list(allowed)
    close = get_close_matches(word, names, n=1, cutoff=0.55)
    hint = f"; did you mean `{close[0]}`?" if close else ";"
    return f"{hint} allowed: {', '.join(names) if names else 'none'}"


def quote(value: object) -> str:
    """A value between back-ticks on one line, shortened to 60 characters."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"
