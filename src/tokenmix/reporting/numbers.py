"""Numbers that somebody typed into the manuscript: results must come from the registry, whole numbers as well.

Prose is what counts. A whole number in a formula belongs to a definition (a decimal does not); one in a command's
argument (a reference, a length, a number of columns) is no number of the text; one that is part of a word (S12, 3D) is
a name (COVID-19, but not AUC-0.93).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tokenmix.reporting.latex_log import Problem

#: a comment that allows the typed numbers of its line, and must say where they are from
ALLOWED = re.compile(r"(?<!\\)%\s*number:\s*\S")

_COMMENT = re.compile(r"(?<!\\)%.*")
_DISPLAY = re.compile(
    r"\\begin\{(equation|align|gather|multline|eqnarray|displaymath)(\*?)\}.*?\\end\{\1\2\}|\\\[.*?\\\]", re.S
)
#: a number in mathematics is no formula: $27$, $12/16$, $n = 624$, $p < 0.01$, $> 90$, $92 \\pm 1$
_PLAIN_MATH = re.compile(
    r"(?<!\\)\$([\s~]*(?:[nNpP]?\s*(?:[=<>]|\\(?:leq?|geq?|approx|sim)\b)\s*)?"
    r"[-+]?[\d.,/{}\s]+(?:\\pm[\d.,{}\s]+)?(?:\\%)?\s*)\$"
)
_MATH = re.compile(r"(?<!\\)\$(?:[^$\n]|\n(?!\s*\n))*?(?<!\\)\$")
#: commands whose arguments are no text, lengths, and the parameters of a definition
_NO_TEXT = re.compile(
    r"\\(?:cite\w*|(?:eq|auto|page|name)?ref|label|url|href|val\w*|claim|study\w*|input|include\w*|bibliography\w*"
    r"|documentclass|usepackage|vspace|hspace|begin|end|multicolumn|multirow|cmidrule|cline"
    r"|hyperref|hypertarget|hyperlink)\*?\s*(?:\([^()]*\))?(?:\[[^\]]*\])*\{[^{}]*\}"
    r"|-?\d*\.?\d+\s*(?:em|ex|pt|mm|cm|in|\\(?:line|text|column|base)\w+)\b"
    r"|\\(?:set|addto)counter\{\w+\}\{-?\d+\}|#\d"
)
_PERCENT = r"(?:(?:\\[,;]|~|\s|\$)*\\%)?"
_DECIMAL = re.compile(rf"(?<![\w.])(?:\d*\.\d+{_PERCENT}|\d+(?:\\[,;]|~|\s)*\\%)")
_NUMBER = re.compile(rf"(?<![\w.\\])(?:\d+(?:[.,/]\d+)+|\.\d+|(?<![A-Za-z]-)\d+)(?!\w){_PERCENT}")


def number_problems(source: Path) -> list[Problem]:
    """Every typed number of the `.tex` files below `source`, with file and line."""
    return [
        Problem(str(path), line, f"the number {number} is typed; results come from the registry by \\val{{KEY}}, and a "
                "number that is no result of ours carries a comment on its line: % number: where it comes from")
        for path in sorted(source.rglob("*.tex"))
        for line, number in typed_numbers(path.read_text(encoding="utf-8"))
    ]  # fmt: skip


def typed_numbers(text: str) -> Iterator[tuple[int, str]]:
    """(line, number) of each number in a manuscript's prose that no comment allows."""
    lines = text.splitlines()
    allowed = {number for number, line in enumerate(lines, 1) if ALLOWED.search(line)}
    prose = "\n".join(_COMMENT.sub("", line) for line in lines)
    prose = _DISPLAY.sub(_decimals, prose)
    prose = _PLAIN_MATH.sub(r" \1 ", prose)
    prose = _MATH.sub(_decimals, prose)
    prose = _NO_TEXT.sub(_blank, prose)
    for number, line in enumerate(prose.split("\n"), 1):
        if number not in allowed:
            yield from ((number, match.group().strip()) for match in _NUMBER.finditer(line))


def _blank(match: re.Match[str]) -> str:
    """The line ends of what is taken out, so that lines keep their numbers."""
    return " " + "\n" * match.group().count("\n")


def _decimals(match: re.Match[str]) -> str:
    """What of a formula counts as typed, each on its line."""
    return " " + "\n".join(" ".join(_DECIMAL.findall(line)) for line in match.group().split("\n")) + " "
