"""Where our protocol corrects the published one (Keuth et al., arXiv 2510.05971, public code), one switch a difference.

Each switch is a setting of the config. `protocol: as_published` sets all of them, save those that are written with
another value than the default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenmix.study.config import Config

AS_PUBLISHED = "as_published"


@dataclass(frozen=True)
class Switch:
    """A difference: its name, its setting as a dotted path, the setting's published value, and what it does."""

    name: str
    setting: str
    published: Any
    sentence: str

    @property
    def corrected(self) -> Any:
        """The setting's default."""
        value: Any = Config()
        for key in self.setting.split("."):
            value = getattr(value, key)
        return value


SWITCHES = (
    Switch(
        "selection on test",
        "training.selection_split",
        "test_without_val",
        "Where a data set comes without a validation split, the checkpoint is chosen by its score on the test split, "
        "which then is the best of many looks.",
    ),
    Switch(
        "dropped last batch",
        "training.drop_last_validation",
        True,
        "The checkpoint is chosen on whole batches of the validation split, so that its last cases never count.",
    ),
    Switch(
        "schedule lag",
        "training.schedule_lag",
        True,
        "The learning rate follows its schedule one epoch late, so that two epochs run at the rate of the first, and "
        "the cosine ends before it reaches its lowest rate.",
    ),
    Switch(
        "norm by arrangement",
        "model.norm",
        "by_arrangement",
        "[T,T,T,T] normalises each image as a whole and hybrids each position, so that a comparison of arrangements "
        "compares norms as well.",
    ),
    Switch(
        "head dimension",
        "model.warm_heads",
        "by_mixer",
        "Only global attention that starts warm has heads of the width that its weights were trained with: warm local "
        "attention takes over their matrices but not their function, and cold global attention is another network than "
        "warm.",
    ),
    Switch(
        "global on small maps",
        "model.small_map_fallback",
        True,
        "Local attention attends globally on maps of 64 positions or fewer, whatever its kernel.",
    ),
    Switch(
        "reused rows",
        "pooling_rows",
        "reused",
        "Tables of hybrids trained from scratch show the runs of [T,T,T,T] in their rows of pooling, although these "
        "are other networks where the kernel is above 3 or the norm differs.",
    ),
    Switch(
        "distorted ImageWoof",
        "data.padding",
        "width",
        "Images of an archive of folders get the padding of both axes at the width, so that scaling them to a square "
        "distorts them.",
    ),
)


def as_published(written: Mapping[str, Any]) -> dict[str, Any]:
    """The published values of all switches as sections of a config, save where `written` has a value of its own.

    written: config.yaml as it was read; a setting that stands there with its default is not one of its own.
    """
    sections: dict[str, Any] = {}
    for switch in SWITCHES:
        *above, key = switch.setting.split(".")
        theirs: Any = written
        ours = sections
        for name in above:
            theirs = theirs.get(name) if isinstance(theirs, Mapping) else None
            ours = ours.setdefault(name, {})
        if not isinstance(theirs, Mapping) or theirs.get(key, switch.corrected) == switch.corrected:
            ours[key] = switch.published
    return sections


def switched(config: Config) -> dict[str, Any]:
    """Name -> value of every switch that a study does not leave at the corrected value."""
    values = config.model_dump()
    found = {}
    for switch in SWITCHES:
        value: Any = values
        for key in switch.setting.split("."):
            value = value[key]
        if value != switch.corrected:
            found[switch.name] = value
    return found
