"""The folder in which the paper is typeset: generated files, and beside them a copy of the manuscript as it is now."""

from pathlib import Path

from tokenmix.files import write_atomic
from tokenmix.reporting.figures import FIGURES
from tokenmix.reporting.inputs import Study
from tokenmix.study.manuscript import ENDINGS

_TEXTS = ("claims", "claims_evidence", "contents", "findings", "runs", "summary", "values")


def tables_of(study: Study) -> list[str]:
    """The names of all generated tables."""
    return ["datasets", "reported", "switches", *study.tables]


def generated_names(study: Study) -> set[str]:
    """What of the folder LaTeX may read that rules write."""
    texts = {f"{name}.tex" for name in _TEXTS} | {f"tables/{name}.tex" for name in tables_of(study)}
    return texts | {f"figures/{name}{suffix}" for name in FIGURES for suffix in (".tex", ".pdf", ".png")}


def manuscript_files(source: Path) -> list[Path]:
    """The files of the manuscript, below `source`."""
    return [path for path in sorted(source.rglob("*")) if path.is_file() and path.name.endswith(ENDINGS)]


def copy_manuscript(source: Path, study: Study) -> None:
    """Copy the manuscript into the folder, from which everything goes that is neither its nor generated.

    What an earlier build copied, and has been deleted or renamed since, must not be typeset here and nowhere else.
    """
    generated = generated_names(study)
    for path in manuscript_files(study.paper):
        if path.relative_to(study.paper).as_posix() not in generated:
            path.unlink()
    for path in manuscript_files(source):
        write_atomic(study.paper / path.relative_to(source), path.read_bytes())
