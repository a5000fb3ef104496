"""What the studies of a project refer to, as config.yaml and the overlays say it now."""

from dataclasses import dataclass, field
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.study.config import Config, merged
from tokenmix.study.frozen import code_folder
from tokenmix.study.load import CONFIG, FULL, OVERLAYS, load_config, studies
from tokenmix.study.manifest import load_manifest
from tokenmix.study.plan import resolve
from tokenmix.study.raw import entries
from tokenmix.study.yaml_lines import read_yaml


@dataclass
class References:
    """Why something stays. results, data: the studies' folders; runs: `<results>/runs/<run>` -> why; folders: of
    frozen code or prepared data, links followed -> why; unknown: data set that a study names and this machine does
    not know -> why.
    """

    results: list[Path] = field(default_factory=list)
    data: list[Path] = field(default_factory=list)
    runs: dict[Path, str] = field(default_factory=dict)
    folders: dict[Path, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)


def refer(root: Path) -> References:
    """Resolve every study of the project; raises UserError where one cannot be read or planned."""
    found = References()
    for study in studies(root):
        try:
            _add(found, root, study)
        except UserError as error:
            raise UserError(f"what the study {study} refers to is unknown, so nothing is removed: {error}") from error
    return found


def _add(found: References, root: Path, study: str) -> None:
    unknown, results, data = _look_ahead(root, study)
    found.results += [results] if results not in found.results else []
    found.data += [data] if data not in found.data else []
    why = f"study {study}"
    if unknown:
        # any of their runs may be the study's, and so may what they were made with
        found.unknown |= dict.fromkeys(unknown, f"{why}, which needs {', '.join(unknown)} to be registered here")
        return
    plan = resolve(load_config(root, study=study), root)
    for run in plan.runs.values():
        found.runs.setdefault(results / "runs" / run.id, why)
        found.folders.setdefault(code_folder(results, run.code.hash).resolve(), why)
        found.folders.setdefault((data / run.data.folder).resolve(), why)
    for shared in ("packer", "workbench"):
        found.folders.setdefault((root / plan.content[shared]).resolve(), why)


def _look_ahead(root: Path, study: str) -> tuple[list[str], Path, Path]:
    """Data sets of the study's tables that this machine does not know, its folder of results and that of data.

    An overlay for a folder of images that is not registered here cannot be planned, but must not stop the rest.
    """
    layers = [read_yaml(root / CONFIG, CONFIG)]
    if study != FULL:
        name = (OVERLAYS / f"{study}.yaml").as_posix()
        layers.append(read_yaml(root / name, name))
    for layer in layers:
        if layer.problems:
            raise UserError(str(layer.problems[0]))
    raw = merged(layers[0].value, layers[-1].value)
    default = Config()
    settings = dict(entries({"data": raw.get("data")})).get("data", {})
    data = (root / str(settings.get("folder", default.data.folder))).resolve()
    known = load_manifest(data)
    used = [name for name, _ in entries(raw.get("datasets"))]
    lists = [table.get("datasets") for _, table in entries(raw.get("tables"))]
    named = {name for listed in lists for name in (listed if isinstance(listed, list) else used)}
    unknown = [name for name in dict.fromkeys(used) if name in named and name not in known]
    # resolved: studies may spell one folder differently
    return unknown, (root / str(raw.get("results", default.results))).resolve(), data
