"""Mixers and data sets that other installed packages offer: found by their entry points, never imported.

A package names them in its metadata, here in `pyproject.toml`:

    [project.entry-points."tokenmix.mixers"]
    shift = "shiny.shift"      # a module like the files of models/mixers

    [project.entry-points."tokenmix.datasets"]
    lesions = "shiny.data"     # beside this module lies lesions.yaml: an entry like those of data/manifest.yaml

Frozen code holds the modules that it needs of such a package, and asks no metadata.
"""

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.files import read_json

MIXERS, DATASETS = "tokenmix.mixers", "tokenmix.datasets"
#: what frozen code says about itself; a folder with this file is frozen code
LISTING = "modules.json"
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True)
class Offer:
    """One entry point: the module it names, and the package whose metadata say so."""

    module: str
    package: str


def mixers(source: Path) -> dict[str, str]:
    """Name -> module of the mixers that are not tokenmix's own, for code that lies in the folder `source`.

    Raises UserError where two packages offer the same name and where metadata cannot be read.
    """
    if is_frozen(source):
        return read_json(source / LISTING).get("mixers", {})
    return {name: offer.module for name, offer in offers(MIXERS).items()}


@cache
def is_frozen(source: Path) -> bool:
    """Whether `source` is a folder of frozen code."""
    return (source / LISTING).is_file()


@cache
def offers(group: str) -> dict[str, Offer]:
    """Name -> offer, of all installed packages; raises UserError like `mixers`."""
    found: dict[str, Offer] = {}
    for name, value, package in _entry_points(group):
        if not _MODULE.fullmatch(value):
            raise UserError(
                f"the installed package {package} names `{value}` as {name} of {group}; it must be a module, like "
                "`package.module`: mend its metadata or uninstall it"
            )
        if name in found:
            raise UserError(
                f"the installed packages {found[name].package} and {package} both offer {name} as {group}; "
                "uninstall one of them"
            )
        found[name] = Offer(value, package)
    return dict(sorted(found.items()))


def _entry_points(group: str) -> Iterator[tuple[str, str, str]]:
    # loaded only here: it costs more than all else that frozen code imports
    from importlib import metadata

    try:
        for point in metadata.entry_points(group=group):
            yield point.name, point.value, point.dist.name if point.dist else "?"
    except (TypeError, ValueError, KeyError, OSError) as error:
        raise UserError(
            f"the metadata of an installed package cannot be read ({error}); find it with `pip check` and reinstall it"
        ) from error


@cache
def root_of(top: str) -> Path | None:
    """The folder that holds the top-level package or module `top`, or None where no package with offers has it.

    Raises UserError where it offers something but is not installed as a folder or file of Python.
    """
    offering = {
        offer.module.partition(".")[0]: offer for group in (MIXERS, DATASETS) for offer in offers(group).values()
    }
    if top not in offering:
        return None
    try:
        spec = importlib.util.find_spec(top)  # imports nothing: the name has no dot
    except (ImportError, ValueError):
        spec = None
    file = Path(spec.origin) if spec and spec.origin else None
    if file is None or file.suffix != ".py" or not file.is_file():
        raise UserError(
            f"the installed package {offering[top].package} offers {offering[top].module}, but Python finds no file "
            f"{top}/__init__.py or {top}.py; install it anew, unpacked and with an __init__.py, or uninstall it"
        )
    return (file.parents[1] if file.name == "__init__.py" else file.parent).resolve()


def forget() -> None:
    """Look at the installed packages afresh."""
    for remembered in (is_frozen, offers, root_of):
        remembered.cache_clear()
