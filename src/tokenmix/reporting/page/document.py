"""The page itself: one HTML file that holds its data, its style, its scripts and the library of its tables.

The library is DataTables as the Python package `itables` carries it, so that building the page needs the locked
environment and nothing else, and reading it needs no network: the page's own policy forbids any request.
"""

import base64
import hashlib
import html
import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from string import Template
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import write_atomic
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.page.content import content, curves
from tokenmix.reporting.registry import Registry

_FOLDER = Path(__file__).parent
# named here in full, because an edit of a file that a module names counts as an edit of the module (study.code)
_TEMPLATE, _STYLE, _START = "page.html", "page.css", "page.js"
#: what scripts import by name
_MODULES = {"chart": "chart.js", "elements": "elements.js", "lists": "lists.js", "panels": "panels.js"}


def write(study: Study, registry: Registry, path: Path) -> None:
    """Write the page of a finished study; raises UserError where files of earlier stages or the library are missing."""
    write_atomic(path, document(study, registry))


def document(study: Study, registry: Registry) -> str:
    """The whole HTML file."""
    shown = content(study, registry)
    modules = {name: (_FOLDER / file).read_bytes() for name, file in _MODULES.items()}
    modules["datatables"] = _library("dt_bundle.js").encode()
    imports = json.dumps({"imports": {name: _data_url(code) for name, code in modules.items()}})
    script = (_FOLDER / _START).read_text(encoding="utf-8")
    facts = {name: html.escape(text) for name, text in shown["study"].items()}
    return Template((_FOLDER / _TEMPLATE).read_text(encoding="utf-8")).substitute(
        facts,
        banner="" if study.phantoms else "hidden",
        policy=f"{_source(imports)} {_source(script)}",
        style=_library("dt_bundle.css") + (_FOLDER / _STYLE).read_text(encoding="utf-8"),
        imports=imports,
        script=script,
        content=_embedded(shown),
        curves=_embedded(curves(study)),
    )


def _library(name: str) -> str:
    """A file of DataTables; found without importing the package, which looks for notebooks."""
    try:
        found = Path(str(distribution("itables").locate_file(f"itables/html/{name}")))
        return found.read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError) as error:
        raise UserError(
            f"the Python package itables, which carries the page's tables, is missing ({error}); run make env"
        ) from error


def _data_url(code: bytes) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(code).decode()}"


def _source(script: str) -> str:
    """How the page's policy names a script that may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _embedded(value: Any) -> str:
    """JSON inside a script element, which only `<` could end."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
