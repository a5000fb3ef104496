"""Which plan of a study was frozen last: the study as commands look at it that compute nothing."""

import os
import re
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.study.config import Config
from tokenmix.study.load import CONFIG, OVERLAYS, studies
from tokenmix.study.yaml_lines import read_yaml


def newest_index(root: Path, study: str | None = None) -> Path:
    """The index of the study that was planned last; `study` is config.yaml's unless named.

    The config is only asked for the study's name and its folder of results, so that it may be in the middle of an
    edit. Raises UserError where no plan is found.
    """
    base = read_yaml(root / CONFIG, CONFIG)
    if study is None and not base.readable:
        raise UserError(f"{base.problems[0]}; or name the study with --study")
    name = str(study if study is not None else base.value.get("study", Config().study))
    layers = [base]
    if name in studies(root) and (root / OVERLAYS / f"{name}.yaml").is_file():
        layers.append(read_yaml(root / OVERLAYS / f"{name}.yaml", name))
    folders = [layer.value["results"] for layer in layers if isinstance(layer.value.get("results"), str)]
    plans = root / (folders[-1] if folders else Config().results) / "plan"
    wanted = re.compile(re.escape(name) + r"\.[0-9a-f]{8}\.json")
    found = [plans / entry for entry in _names(plans) if wanted.fullmatch(entry)]
    if not found:
        raise UserError(
            f"no plan of the study {name!r} in {plans}; plan it by starting it (snakemake -n --config study={name} "
            "is enough), or name another study with --study"
        )
    return max(found, key=_changed)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are wanted
    except OSError:
        return []


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
