"""The PDF: sources and generated files in one folder, latexmk without shell escape, a clean log."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.files import write_atomic
from tokenmix.reporting.check import manuscript_problems
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.latex_log import Problem, problems
from tokenmix.reporting.registry import Registry
from tokenmix.reporting.sources import copy_manuscript

TOOLS = ("latexmk", "pdflatex", "bibtex")
PACKAGES = """\
  Debian, Ubuntu   apt install latexmk texlive-latex-recommended texlive-fonts-recommended cm-super
  Fedora           dnf install latexmk texlive-collection-latexrecommended texlive-collection-fontsrecommended
  macOS            brew install --cask mactex-no-gui
  conda            snakemake --sdm conda paper (envs/latex.yaml)"""

_AUXILIARY = (".aux", ".bbl", ".blg", ".fdb_latexmk", ".fls", ".log", ".out", ".toc", ".pdf")
#: most complaints that one message shows
_SHOWN = 20


def build(study: Study, source: Path, pdf: Path) -> None:
    """Typeset `source`/main.tex with the study's generated files and put the result at `pdf`.

    Raises UserError where LaTeX is missing, where the manuscript names an unknown value or file, where LaTeX
    fails, and where its log tells of undefined references or boxes that stick out by more than 5 pt.
    """
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        raise UserError(
            f"LaTeX is not installed ({', '.join(missing)} not found); the PDF needs it; install\n{PACKAGES}"
        )
    if not (source / "main.tex").is_file():
        raise UserError(f"{source / 'main.tex'} is missing; give the folder of the manuscript")
    folder = study.paper
    registry = Registry.read(folder / "values.json")
    _refuse(
        manuscript_problems(source, study, registry),
        "the manuscript needs mending before LaTeX starts",
    )
    copy_manuscript(source, study)
    for suffix in _AUXILIARY:
        (folder / f"main{suffix}").unlink(missing_ok=True)  # what a failed build left must not decide this one
    status = _latexmk(folder, str(study.newest["execution"].get("ended", "")))
    log = folder / "main.log"
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    found = [_in_source(problem, source, folder) for problem in problems(text)]
    if re.search(r"File `[^']+\.(sty|cls|bst|def)' not found", text):
        raise UserError(f"a LaTeX package is missing: {found[0] if found else log}; install\n{PACKAGES}")
    _refuse(found, f"LaTeX is not content (full log: {log})")
    _refuse(_bibtex_problems(folder / "main.blg", source), "BibTeX is not content")
    if status or not (folder / "main.pdf").is_file():
        raise UserError(f"latexmk ended with status {status}; see {log} and {folder / 'latexmk.out'}")
    write_atomic(pdf, (folder / "main.pdf").read_bytes())


def _latexmk(folder: Path, ended: str) -> int:
    try:
        stamp = int(datetime.fromisoformat(ended).astimezone(UTC).timestamp())
    except ValueError:
        stamp = 0
    environment = {
        **os.environ,
        # an unwrapped log that can be read line by line, and the same PDF from the same files
        **{"max_print_line": "100000", "error_line": "254", "half_error_line": "238"},
        **{"SOURCE_DATE_EPOCH": str(stamp), "FORCE_SOURCE_DATE": "1", "TZ": "UTC"},
        **{"shell_escape": "f", "openout_any": "p"},
    }
    with (folder / "latexmk.out").open("wb") as out:
        command = ["latexmk", "-norc", "-r", "latexmkrc", "main.tex"]
        return subprocess.run(
            command, cwd=folder, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
        ).returncode


def _in_source(problem: Problem, source: Path, folder: Path) -> Problem:
    """The same complaint with the path at which a person would mend it."""
    for parent in (source, folder):
        if (parent / problem.file).is_file():
            return Problem(str(parent / problem.file), problem.line, problem.text)
    return problem


def _bibtex_problems(log: Path, source: Path) -> list[Problem]:
    if not log.is_file():
        return []
    warnings = re.findall(r"^(?:Warning--|I couldn't |I found no )(.+)", log.read_text(errors="replace"), flags=re.M)
    return [Problem(str(source / "references.bib"), None, warning) for warning in warnings]


def _refuse(found: Sequence[Problem], heading: str) -> None:
    if found:
        more = f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UserError(f"{heading}:\n" + "\n".join(f"  {problem}" for problem in found[:_SHOWN]) + more)
