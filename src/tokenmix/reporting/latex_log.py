"""What a LaTeX log complains of, with file and line."""

import re
from dataclasses import dataclass

#: a box may stick out by this much before it counts (points)
TOLERANCE = 5.0

_ERROR = re.compile(r"^(?P<file>[^\s:()][^:()]*\.[A-Za-z]+):(?P<line>\d+): (?P<text>.+)")
_PLAIN_ERROR = re.compile(r"^! (?P<text>.+)")
_BOX = re.compile(r"^Overfull \\(?P<box>[hv])box \((?P<size>[\d.]+)pt too (?:wide|high)\)(?P<where>.*)")
_LINES = re.compile(r"lines? (?P<first>\d+)")
_UNDEFINED = re.compile(
    r"(?:LaTeX|Package natbib) Warning: (?P<text>(?:Reference|Citation|Hyper reference) "
    r".*?undefined.*|Label .*multiply defined.*)"
)
_NAME = re.compile(r"pdfTeX warning.*?: (?P<text>name\{.*?\} has been referenced but does not exist)")
_CHARACTER = re.compile(r"^Missing character: (?P<text>.*)")
_FILE = re.compile(r"\((?P<name>\.{0,2}/?[^\s()<>{}\"]+\.[A-Za-z0-9]+)")


@dataclass(frozen=True)
class Problem:
    """One complaint: the file and line as far as the log tells them, and what is wrong."""

    file: str
    line: int | None
    text: str

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.text}"


def problems(log: str) -> list[Problem]:
    """Errors, undefined references, citations and links, missing characters, boxes that stick out, in order.

    The log must be unwrapped (`max_print_line` large); LaTeX names the open files by parentheses.
    """
    found: list[Problem] = []
    open_files: list[str] = []
    for text in log.splitlines():
        here = next((name for name in reversed(open_files) if name), "main.tex")
        if match := _ERROR.match(text):
            found.append(Problem(match["file"].removeprefix("./"), int(match["line"]), match["text"]))
        elif match := _PLAIN_ERROR.match(text):
            found.append(Problem(here, None, match["text"]))
        elif match := _BOX.match(text):
            if float(match["size"]) > TOLERANCE:
                lines = _LINES.search(match["where"])
                what = "wide" if match["box"] == "h" else "high"
                found.append(
                    Problem(
                        here,
                        int(lines["first"]) if lines else None,
                        f"{match['size']} pt too {what}{match['where']}",
                    )
                )
        elif match := _UNDEFINED.search(text) or _NAME.search(text):
            lines = re.search(r"input line (\d+)", text)
            found.append(Problem(here, int(lines[1]) if lines else None, match["text"]))
        elif match := _CHARACTER.match(text):
            found.append(Problem(here, None, f"no such character in the font: {match['text']}"))
        else:
            _follow(open_files, text)
    return list(dict.fromkeys(found))


def _follow(open_files: list[str], text: str) -> None:
    """Keep the stack of open files: `(name` opens one, `)` closes it; other parentheses count as nameless."""
    position = 0
    while position < len(text):
        char = text[position]
        if char == "(":
            match = _FILE.match(text, position)
            open_files.append(match["name"].removeprefix("./") if match else "")
            position = match.end() if match else position + 1
            continue
        if char == ")" and open_files:
            open_files.pop()
        position += 1
