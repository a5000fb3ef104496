"""Checks of the manuscript before LaTeX starts: keys, claims, generated files, numbers typed by hand."""

import re
from collections.abc import Iterator
from pathlib import Path

from tokenmix.reporting.claims.check import claim_problems
from tokenmix.reporting.figures import FIGURES
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.latex_log import Problem
from tokenmix.reporting.numbers import number_problems
from tokenmix.reporting.registry import Registry, nearest
from tokenmix.reporting.sources import generated_names, manuscript_files, tables_of

_COMMENT = re.compile(r"(?<!\\)%.*")
_VALUE = re.compile(r"\\val(?P<kind>|count|std|range)\s*\{(?P<key>[^{}]*)\}")
_GENERATED = re.compile(r"\\study(?P<kind>table|figure)\s*\{(?P<name>[^{}]*)\}")
_FILE = re.compile(r"\\(?P<kind>input|include|includegraphics|bibliography)\s*(?:\[[^\]]*\])?\{(?P<name>[^{}]*)\}")
_SUFFIXES = {"input": ".tex", "include": ".tex", "bibliography": ".bib", "includegraphics": ".pdf"}


def manuscript_problems(source: Path, study: Study, registry: Registry) -> list[Problem]:
    """All that is wrong in the `.tex` files below `source`, as seen from the study's generated files."""
    found = [*number_problems(source), *claim_problems(source)]
    names = generated_names(study)
    for path in manuscript_files(source):
        if path.relative_to(source).as_posix() in names:
            found.append(Problem(str(path), None, f"is called as a generated file of {study.paper}; rename it"))
    for path in sorted(source.rglob("*.tex")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for text in _line_problems(line, source, study, registry):
                found.append(Problem(str(path), number, text))
    return sorted(found, key=lambda problem: (problem.file, problem.line or 0))


def _line_problems(line: str, source: Path, study: Study, registry: Registry) -> Iterator[str]:
    text = _COMMENT.sub("", line)
    for match in _VALUE.finditer(text):
        suffixes = {"": [""], "count": [""], "std": ["", "/std"], "range": ["", "/low", "/high"]}[match["kind"]]
        for suffix in suffixes:
            key = match["key"] + suffix
            if key not in registry:
                near = ", ".join(nearest(key, registry.values)) or "none"
                yield f"no value has the key {key}; the nearest are {near}"
                break
    for match in _GENERATED.finditer(text):
        names = list(FIGURES) if match["kind"] == "figure" else tables_of(study)
        folder = study.paper / f"{match['kind']}s"
        if "#" in match["name"]:
            continue  # inside the definition of a command
        if match["name"] not in names:
            yield f"no {match['kind']} is called {match['name']}; choose one of {', '.join(names)}"
        elif not (folder / f"{match['name']}.tex").is_file():
            command = f"tokenmix report {match['kind']} {match['name']}"
            yield f"{folder / match['name']}.tex is missing; run `{command}`"
    for match in _FILE.finditer(text):
        for name in match["name"].split(","):
            relative = Path(name.strip() if Path(name).suffix else name.strip() + _SUFFIXES[match["kind"]])
            # beside the generated files lie copies of the manuscript, which may have been deleted since
            generated = relative.as_posix() in generated_names(study) and (study.paper / relative).is_file()
            if "#" not in name and not generated and not (source / relative).is_file():
                yield f"{relative} is neither in {source} nor a generated file in {study.paper}"
