"""How models, metrics and stages are called in tables, figures and sentences.

Names are read tolerantly: a frozen study may hold a mixer whose file is gone from the working tree, and its
paper must still build.
"""

import re
from dataclasses import dataclass

MIXERS = {
    "pooling": "pooling",
    "conv": "convolution",
    "sep_conv": "depthwise convolution",
    "local_attn": "local attention",
    "full_attn": "global attention",
    "identity": "identity",
    "random": "random mixing",
    "random_learned": "learned token matrix",
    "fcvit": "FCViT mixer",
}
FAMILIES = {
    "resnet18": "ResNet18",
    **{"fcvit_tiny": "FCViT-Tiny", "fcvit_b12": "FCViT-B12", "fcvit_b24": "FCViT-B24", "fcvit_b48": "FCViT-B48"},
}
EXTENSIONS = {
    "bilinear": "bilinear patch embedding",
    "coordmlp": "coordinate MLP",
    "slopes": "slopes",
    "cls": "CLS token",
    "register": "global register",
}
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auc": "macro AUC",
    "f1": "macro F1",
}
METRIC_HEADS = {"accuracy": "Acc.", "balanced_accuracy": "Bal. acc.", "auc": "AUC", "f1": "F1"}
INITS = {
    "scratch": "from scratch",
    "matched": "from scratch, matched",
    "warm": "warm start",
    "cold": "cold start",
    "pretrained": "pretrained",
}
#: what a row's label says of its initial weights
STARTS = ("warm", "cold", "matched")

_METAFORMER = re.compile(
    r"(?P<scale>[a-z0-9]+)-(?P<arrangement>[tp]{4})-(?P<mixer>[a-z][a-z0-9_]*[a-z])(?P<kernel>\d+)?(?P<extensions>(\+\w+)*)"
)
_RESNET = re.compile(r"(?P<family>resnet\d+)-k(?P<kernel>\d+)")


@dataclass(frozen=True)
class ModelName:
    """A model's name taken apart; `mixer` is the family where the model is no MetaFormer."""

    name: str
    mixer: str
    kernel: int | None
    scale: str = ""
    arrangement: str = ""
    extensions: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The mixer or family in words, with its extensions and without the kernel."""
        return self.base + self._extended

    @property
    def text(self) -> str:
        """The mixer with its kernel, as sentences say it: `local attention 5×5 + slopes`."""
        return self.base + (f" {self.kernel}×{self.kernel}" if self.kernel else "") + self._extended

    @property
    def base(self) -> str:
        """The mixer or family in words, alone."""
        if not self.arrangement:
            return FAMILIES.get(self.mixer, self.mixer)
        return MIXERS.get(self.mixer, self.mixer.replace("_", " "))

    @property
    def _extended(self) -> str:
        return "".join(f" + {EXTENSIONS.get(name, name)}" for name in self.extensions)


def model_name(name: str) -> ModelName:
    """Take a model's name apart; a name of unknown form is its own label."""
    if match := _METAFORMER.fullmatch(name):
        kernel = match["kernel"]
        return ModelName(
            name,
            match["mixer"],
            int(kernel) if kernel else None,
            match["scale"],
            match["arrangement"],
            tuple(match["extensions"].split("+")[1:]),
        )
    if match := _RESNET.fullmatch(name):
        return ModelName(name, match["family"], int(match["kernel"]))
    return ModelName(name, name, None)


def row_label(model: str, init: str) -> str:
    """A row's model in words, without its kernel; how attention starts where several ways stand in a study."""
    return model_name(model).label + (f", {init}" if init in STARTS else "")


def row_text(model: str, init: str) -> str:
    """The same with the kernel, as sentences say it."""
    return model_name(model).text + (f" ({INITS[init]})" if init in STARTS else "")


def metric_name(metric: str) -> str:
    """A metric in words."""
    return METRICS.get(metric, metric.replace("_", " "))


def enumerate_words(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else "none"
