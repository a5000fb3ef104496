"""Checks that need more than types: data sets against the manifest, models against the grammar.

They read the merged, not yet typed config and skip what has a wrong type, so that their findings stand in the
same report as pydantic's.
"""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.study.config import Table
from tokenmix.study.grammar import (
    arrangement_problem,
    extension_problems,
    init_problem,
    metaformer_name,
    mixer_problems,
    nearest,
    parse_model,
    pretrained_inits,
    quote,
    volume_problem,
)
from tokenmix.study.manifest import DatasetEntry
from tokenmix.study.mixers import mixers
from tokenmix.study.raw import Finding, entries, listed
from tokenmix.study.switches import switch_problems
from tokenmix.study.training_checks import training_problems
from tokenmix.study.yaml_lines import Place

#: tables of the paper that are not lists of models: data sets, published scores, switches of the protocol
PAPERS_TABLES = ("datasets", "reported", "switches")
#: names whose rule `table_<name>` or whose files are those of such a table
OWN_TABLES = (*PAPERS_TABLES, *(f"of_{name}" for name in PAPERS_TABLES), "reported_noise")


def check(raw: Mapping[str, Any], manifest: Mapping[str, DatasetEntry], mixer_folder: Path) -> list[Finding]:
    """Every mistake of names and of values that only together are wrong, with its place."""
    found = (
        _datasets(raw, manifest),
        _tables(raw, manifest, mixer_folder),
        _repeated(raw),
        _folders(raw),
    )
    return [*itertools.chain.from_iterable(found), *training_problems(raw), *switch_problems(raw, manifest)]


def _datasets(raw: Mapping[str, Any], manifest: Mapping[str, DatasetEntry]) -> Iterator[Finding]:
    datasets = raw.get("datasets", {})
    for name, use in entries(datasets):
        place: Place = ("datasets", name)
        if name not in manifest:
            yield (
                place,
                (
                    f"unknown data set {quote(name)}{nearest(name, manifest)}; "
                    f"to use your own images: tokenmix data register FOLDER --name {name}"
                ),
            )
            continue
        size, sizes = use.get("size"), manifest[name].sizes
        if sizes and isinstance(size, int) and not isinstance(size, bool) and size not in sizes:
            distances = {abs(offered - size): offered for offered in sizes}
            hint = f"did you mean {distances[min(distances)]}? allowed: {', '.join(map(str, sizes))}"
            yield (*place, "size"), f"{name} is not offered at {size}; {hint}"
    if isinstance(datasets, dict) and all(use is False for use in datasets.values()):
        yield ("datasets",), "a study needs at least one data set, like `breastmnist: {size: 28}`"


def _tables(raw: Mapping[str, Any], manifest: Mapping[str, DatasetEntry], mixer_folder: Path) -> Iterator[Finding]:
    tables = raw.get("tables", {})
    datasets = raw.get("datasets", {})
    used = [name for name, use in datasets.items() if use is not False] if isinstance(datasets, dict) else []
    known = mixers(mixer_folder)
    for name, table in entries(tables):
        place: Place = ("tables", name)
        if name in OWN_TABLES:
            yield place, f"{quote(name)} is the name of a table or rule that every study has; choose another name"
        for i, dataset in enumerate(listed(table.get("datasets"))):
            if isinstance(dataset, str) and dataset not in used and isinstance(datasets, dict):
                hint = nearest(dataset, map(str, used))
                yield (*place, "datasets", i), f"{quote(dataset)} is not one of this study's `datasets`{hint}"
        arrangement = table.get("arrangement")
        if isinstance(arrangement, str) and (text := arrangement_problem(arrangement)):
            yield (*place, "arrangement"), text
        yield from _mixers(place, table.get("mixers"), known, arrangement)
        yield from _volumes(place, table, used, manifest)
        for i, model in enumerate(listed(table.get("baselines"))):
            if isinstance(model, str):
                try:
                    parse_model(model, mixer_folder)
                except UserError as error:
                    yield (*place, "baselines", i), str(error)
        if table.get("init") in ("pretrained", "matched"):
            yield from _pretrained(place, table)
        rows = table.get("mixers") or {}
        if not table.get("baselines") and isinstance(rows, dict) and all(v is False for v in rows.values()):
            yield place, "the table has no model; name some under `mixers` or `baselines`"
    if isinstance(tables, dict) and all(table is False for table in tables.values()):
        yield ("tables",), "a study needs at least one table"
    offered = [name for name, table in tables.items() if table is not False] if isinstance(tables, dict) else []
    chosen = listed(raw.get("paper_tables"))
    for i, name in enumerate(chosen):
        if isinstance(name, str) and name not in (*offered, "switches") and isinstance(tables, dict):
            yield ("paper_tables", i), f"{quote(name)} is not one of `tables`{nearest(name, map(str, offered))}"
    if chosen and all(name == "switches" for name in chosen):
        yield ("paper_tables",), f"a study needs at least one of its `tables`: {', '.join(map(str, offered))}"


def _mixers(table: Place, value: Any, known: dict[str, bool], arrangement: Any) -> Iterator[Finding]:
    for name, kernels in value.items() if isinstance(value, dict) else ():
        place = (*table, "mixers", name)
        mixer, *extensions = name.split("+") if isinstance(name, str) else [name]
        if kernels is not False:
            for text in extension_problems(extensions, mixer, arrangement if isinstance(arrangement, str) else ""):
                yield place, text
        if not isinstance(mixer, str) or mixer not in known:
            yield place, mixer_problems(str(mixer), None, known)[0]
        elif kernels is None and known[mixer]:
            yield place, f"the mixer `{mixer}` needs kernels, like [3, 5, 7]; or false to leave it out"
        elif isinstance(kernels, list) and not known[mixer]:
            yield place, f"the mixer `{mixer}` takes no kernel; write nothing after the colon"


def _pretrained(table: Place, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """The models of a table that have no published weights but need some, or their network; wrong names are told
    elsewhere."""
    defaults = Table()
    scale, arrangement = settings.get("scale", defaults.scale), settings.get("arrangement", defaults.arrangement)
    named: list[tuple[Place, str]] = []
    mixers_ = settings.get("mixers")
    for name, kernels in mixers_.items() if isinstance(mixers_, dict) else ():
        for kernel in (kernels or [None]) if isinstance(name, str) and isinstance(kernels, list | None) else ():
            named.append(((*table, "mixers", name), metaformer_name(scale, arrangement, name, kernel)))
    named += [((*table, "baselines", i), name) for i, name in enumerate(listed(settings.get("baselines")))]
    for place, model in named:
        try:
            text = init_problem(model, pretrained_inits(model)[0])
        except (UserError, TypeError, AttributeError):
            continue
        if text:
            yield place, text


def _volumes(
    place: Place, table: Mapping[str, Any], used: list[Any], manifest: Mapping[str, DatasetEntry]
) -> Iterator[Finding]:
    """Models that have no form for volumes, in a table with a three-dimensional data set."""
    names = listed(table.get("datasets")) or used
    volumes = [name for name in names if isinstance(name, str) and name in manifest and manifest[name].dimensions == 3]
    if not volumes:
        return
    if table.get("init") in ("pretrained", "matched"):
        hint = "published weights are those of two-dimensional models; write `init: scratch`"
        yield (*place, "init"), f"{quote(volumes[0])} is three-dimensional; {hint}"
    mixers_ = table.get("mixers")
    named: list[tuple[Place, Any]] = [
        ((*place, "mixers", name), name)
        for name, kernels in (mixers_.items() if isinstance(mixers_, dict) else ())
        if kernels is not False
    ]
    named += [((*place, "baselines", i), name) for i, name in enumerate(listed(table.get("baselines")))]
    for where, name in named:
        if isinstance(name, str) and (text := volume_problem(name)):
            yield where, f"{quote(volumes[0])} is three-dimensional; {text}"


def _repeated(raw: Mapping[str, Any]) -> Iterator[Finding]:
    lists: list[tuple[Place, Any]] = [((key,), raw.get(key)) for key in ("seeds", "paper_tables")]
    for name, table in entries(raw.get("tables", {})):
        place: Place = ("tables", name)
        lists += [((*place, key), table.get(key)) for key in ("datasets", "metrics", "baselines", "seeds")]
        kernels = table.get("mixers")
        if isinstance(kernels, dict):
            lists += [((*place, "mixers", mixer), value) for mixer, value in kernels.items()]
    for place, values in lists:
        seen = set()
        for i, value in enumerate(listed(values)):
            if isinstance(value, list | dict):
                continue
            if value in seen:
                yield (*place, i), f"{quote(value)} stands here twice; remove one of them"
            seen.add(value)


def _folders(raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Folders whose names others would misread: Snakemake (braces), search paths (`:`), commands (`-` in front).

    Rules quote for the shell, but executors put a rule's command between quotation marks of their own, where `$`,
    back-ticks and back-slashes keep their meaning.
    """
    data = raw.get("data")
    data = data if isinstance(data, dict) else {}
    folders: list[tuple[Place, Any]] = [(("results",), raw.get("results")), (("data", "folder"), data.get("folder"))]
    mirrors = [(("data", "mirrors", i), folder) for i, folder in enumerate(listed(data.get("mirrors")))]
    for place, folder in [*folders, *mirrors]:
        if not isinstance(folder, str):
            continue
        if not folder.isprintable() or set(folder) & set('{}:$`"\\'):
            text = "a folder's path has no braces, colons, dollars, back-ticks, back-slashes, double quotes, line ends"
            yield place, f"{quote(folder)} cannot be used: {text}"
        elif folder.startswith(("-", "~")) and (folder[0] == "-" or "mirrors" not in place):
            yield (
                place,
                f"{quote(folder)} cannot be used: `{folder[0]}` may not stand in front; write ./ or the whole path",
            )
        elif "mirrors" in place and _home_is_unknown(folder):
            yield place, f"{quote(folder)} cannot be found: nobody here has that home; write the whole path"


def _home_is_unknown(folder: str) -> bool:
    """Whether a path begins in the home (`~name`) of a user who is not there."""
    try:
        Path(folder).expanduser()
    except RuntimeError:
        return True
    return False
