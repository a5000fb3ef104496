"""The reader of LaTeX logs finds what a person would have to find by eye, and where."""

import subprocess
from pathlib import Path

from tokenmix.reporting.latex_log import problems

SECTION = r"""
\section{One}
See Section~\ref{sec:nowhere} and \cite{nobody}.

\noindent\mbox{\rule{1.2\linewidth}{1pt}}

\noindent\mbox{\rule{1.001\linewidth}{1pt}}
"""


def log_of(folder: Path, body: str, after: str = "") -> str:
    (folder / "sections").mkdir()
    (folder / "sections/one.tex").write_text(body)
    (folder / "main.tex").write_text(
        "\\documentclass{article}\\usepackage{hyperref}\\begin{document}\n\\input{sections/one}\n"
        f"{after}\n\\end{{document}}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-file-line-error", "main.tex"]
    environment = {"PATH": "/usr/bin:/bin", "max_print_line": "9999"}
    subprocess.run(command, cwd=folder, capture_output=True, env=environment)
    return (folder / "main.log").read_text(errors="replace")


def test_undefined_references_and_wide_boxes_are_found_in_their_file(tmp_path: Path) -> None:
    found = problems(log_of(tmp_path, SECTION))
    assert {problem.file for problem in found} == {"sections/one.tex"}
    reference, citation, box = found
    assert (reference.line, "sec:nowhere" in reference.text) == (3, True)
    assert (citation.line, "nobody" in citation.text) == (3, True)
    assert (box.line, "too wide" in box.text) == (5, True)  # the box that sticks out by 0.3 pt is left alone


def test_what_follows_a_closed_file_belongs_to_the_outer_one(tmp_path: Path) -> None:
    found = problems(log_of(tmp_path, "Text.\n\n", after="\\mbox{\\rule{2\\linewidth}{1pt}} \\ref{gone}"))
    assert [(problem.file, problem.line) for problem in found] == [("main.tex", 3), ("main.tex", 3)]


def test_an_error_is_found_with_its_line(tmp_path: Path) -> None:
    found = problems(log_of(tmp_path, "Text\n\\undefinedcommand\n"))
    assert [str(problem) for problem in found] == ["sections/one.tex:2: Undefined control sequence."]


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    found = problems(log_of(tmp_path, "\\hyperlink{cell:gone}{text}\n"))
    assert "cell:gone" in found[0].text


def test_a_clean_log_has_no_problems(tmp_path: Path) -> None:
    assert problems(log_of(tmp_path, "Text (with parentheses.tex) and a smile :-)\n")) == []
