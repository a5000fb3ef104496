"""Read config.yaml, the study's overlay and the command line into one typed `Config`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tokenmix.errors import UserError
from tokenmix.study.checks import check
from tokenmix.study.config import Config
from tokenmix.study.explain import dotted, findings_of
from tokenmix.study.grammar import nearest, quote
from tokenmix.study.manifest import MANIFEST, DatasetEntry, load_manifest
from tokenmix.study.mixers import MIXER_FOLDER
from tokenmix.study.problems import Problem, raise_problems
from tokenmix.study.published import AS_PUBLISHED, as_published
from tokenmix.study.yaml_lines import Document, Place, plain, read_yaml

CONFIG = "config.yaml"
OVERLAYS = Path("workflow") / "studies"
COMMAND_LINE = "command line"
#: The study without an overlay.
FULL = "full"
#: A study's name stands in the names of files, rules and logs.
STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
#: Folders of `results` that all studies share; a study's own folder lies beside them.
RESULT_FOLDERS = ("benchmarks", "checkouts", "code", "packed", "plan", "runs", "store")


def studies(root: Path) -> list[str]:
    """The names `study` may have: the overlays of `workflow/studies`, and `full`."""
    return [*sorted({path.stem for path in (root / OVERLAYS).glob("*.yaml")} - {FULL}), FULL]


def load_config(
    root: Path,
    study: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    manifest: Path = MANIFEST,
    mixer_folder: Path = MIXER_FOLDER,
) -> Config:
    """The config of a study: config.yaml, over it the overlay, over it `overrides` (the command line).

    The published protocol, where it is chosen, comes right after config.yaml. The study is `study`, else
    `overrides["study"]`, else what config.yaml says. Lists replace, mappings merge, and `false` leaves out a data
    set, a table or a mixer. Raises one UserError that lists every mistake of both files and of the command line;
    `Config.lines` says where each value was written.
    """
    root, overrides = Path(root), dict(overrides or {})
    base = read_yaml(root / CONFIG, CONFIG)
    name, where = _chosen(base, study, overrides)
    above = [*_overlay(root, name), Document(COMMAND_LINE, {**_resolved(overrides), "study": name})]
    layers = [base, *_protocol(base, above), *above]
    raw: dict[str, Any] = {}
    lines: dict[Place, str] = {}
    for layer in layers:
        _lay(layer, layer.value, (), raw, lines)
    lines[("study",)] = where

    config, mistyped = None, {}
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        mistyped = findings_of(error, Config)
    findings = list(mistyped.items())
    problems = [problem for layer in layers for problem in layer.problems]
    known = base.readable or where == COMMAND_LINE
    if known and name not in studies(root) and ("study",) not in mistyped:
        findings.append((("study",), f"unknown study {quote(name)}{nearest(str(name), studies(root))}"))
    elif known and isinstance(name, str) and (not STUDY_NAME.fullmatch(name) or name in RESULT_FOLDERS):
        text = f"{quote(name)} cannot name a study; rename its file: letters, digits, `_` and `-`, at most 60"
        findings.append((("study",), f"{text}, none of {', '.join(RESULT_FOLDERS)}"))
    if all(layer.readable for layer in layers):
        # names of one file may lie in the other, so a file that cannot be read would make them look wrong
        try:
            more = check(raw, _manifest(root, raw, manifest), mixer_folder)
            findings += [(place, text) for place, text in more if place not in mistyped]
        except UserError as error:
            problems.append(Problem("data sets and mixers", str(error)))
    problems += [Problem(_where(place, lines), f"{dotted(place)}: {text}") for place, text in findings]
    raise_problems("the config", problems, [layer.name for layer in layers])
    assert config is not None
    config.lines.update({dotted(place): line for place, line in lines.items()})
    return config


def _chosen(base: Document, study: str | None, overrides: Mapping[str, Any]) -> tuple[Any, str]:
    if study is not None or "study" in overrides:
        return study if study is not None else overrides["study"], COMMAND_LINE
    return base.value.get("study", Config().study), base.where(("study",))


def _resolved(value: Any) -> Any:
    """Snakemake leaves scalars inside lists and mappings of `--config` as texts; read them as YAML does."""
    if isinstance(value, Mapping):
        return {key: _resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item) for item in value]
    return plain(value) if isinstance(value, str) else value


def _overlay(root: Path, name: Any) -> list[Document]:
    path = OVERLAYS / f"{name}.yaml"
    if name not in studies(root) or (name == FULL and not (root / path).exists()):
        return []
    overlay = read_yaml(root / path, path.as_posix())
    if name == FULL:
        overlay.problems.append(Problem(overlay.name, f"`{FULL}` is {CONFIG} without an overlay; rename this file"))
    if "study" in overlay.value:
        text = f"study: an overlay cannot choose the study; set it in {CONFIG}"
        overlay.problems.append(Problem(overlay.where(("study",)), text))
    return [overlay]


def _protocol(base: Document, above: list[Document]) -> list[Document]:
    """The published protocol lies over config.yaml, which shows every default, and below what else is written."""
    chosen = [layer for layer in (base, *above) if "protocol" in layer.value]
    if not chosen or chosen[-1].value["protocol"] != AS_PUBLISHED:
        return []
    return [Document(f"protocol: {AS_PUBLISHED} ({chosen[-1].where(('protocol',))})", as_published(base.value))]


def _manifest(root: Path, raw: Mapping[str, Any], manifest: Path) -> dict[str, DatasetEntry]:
    data = raw.get("data")
    folder = data.get("folder") if isinstance(data, dict) else None
    return load_manifest(root / (folder if isinstance(folder, str) else Config().data.folder), manifest)


def _where(place: Place, lines: Mapping[Place, str]) -> str:
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, CONFIG)


def _lay(
    layer: Document, value: Mapping[Any, Any], place: Place, below: dict[Any, Any], lines: dict[Place, str]
) -> None:
    """Lay a mapping over `below`, in place, and note where each value now comes from."""
    for key, new in value.items():
        here = (*place, key)
        if isinstance(below.get(key), dict) and (new is None or isinstance(new, Mapping)):
            # a section that only holds comments says nothing; lines are those of files, not of the command line
            if new and here in layer.lines:
                lines[here] = layer.where(here)
            _lay(layer, new or {}, here, below[key], lines)
            continue
        if key in below:
            for old in [old for old in lines if old[: len(here)] == here]:
                del lines[old]
        if isinstance(new, Mapping):
            below[key], lines[here] = {}, layer.where(here)
            _lay(layer, new, here, below[key], lines)
        else:
            below[key] = new
            _note(layer, new, here, lines)


def _note(layer: Document, value: Any, place: Place, lines: dict[Place, str]) -> None:
    lines[place] = layer.where(place)
    if isinstance(value, list):
        for i, item in enumerate(value):
            _note(layer, item, (*place, i), lines)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _note(layer, item, (*place, key), lines)
