r"""How the manuscript uses its claims: every \claim is known, says what claims.yaml says, and none is forgotten."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenmix.reporting.claims.file import FILE, TEXTS, load_claims
from tokenmix.reporting.latex_log import Problem
from tokenmix.reporting.numbers import typed_numbers
from tokenmix.reporting.registry import nearest
from tokenmix.reporting.tex import escape

#: a comment that allows the typed numbers of its line, as in the manuscript
_ALLOWED = re.compile(r"#\s*number:\s*\S")
_COMMENT = re.compile(r"(?<!\\)%.*")
_CLAIM = re.compile(r"\\claim\s*\{(?P<key>[^{}#]*)\}(?P<gap>\s*)(?=(?P<brace>\{)?)")


@dataclass(frozen=True)
class _Use:
    """One claim in the manuscript; sentence: the second argument, None where there is none."""

    file: Path
    line: int
    key: str
    apart: bool
    sentence: str | None


def claim_problems(source: Path) -> list[Problem]:
    """Unknown keys with the nearest ones, sentences that differ from claims.yaml, numbers typed in its texts."""
    claims, _ = load_claims(source)
    found = []
    for use in _uses(source):
        text = ""
        if use.key not in claims:
            text = f"no claim has the key {use.key}; the nearest are {', '.join(nearest(use.key, claims)) or 'none'}"
        elif use.apart:
            text = f"the sentence of {use.key} must follow its key without a space: \\claim{{{use.key}}}{{...}}"
        elif (written := claims[use.key].sentence) and not _agree(use.sentence, written):
            text = f"claim {use.key}: {FILE} has another sentence ({written}); keep one of the two"
        if text:
            found.append(Problem(str(use.file), use.line, text))
    return [*found, *_typed_numbers(source)]


def unused_claims(source: Path) -> list[str]:
    """Claims of the file that the manuscript never makes, with their lines."""
    claims, document = load_claims(source)
    used = {use.key for use in _uses(source)}
    return [f"{document.where((key,))}: the manuscript never uses the claim {key}" for key in claims if key not in used]


def _agree(sentence: str | None, written: str) -> bool:
    return sentence is None or " ".join(sentence.split()) in (written, escape(written))


def _typed_numbers(source: Path) -> Iterator[Problem]:
    claims, document = load_claims(source)
    written = (source / FILE).read_text(encoding="utf-8").splitlines() if claims else []
    for key, claim in claims.items():
        for name in TEXTS:
            line = document.lines.get((key, name))
            if line and not _ALLOWED.search(written[line - 1]):
                for _, number in typed_numbers(escape(getattr(claim, name))):
                    yield Problem(
                        str(source / FILE),
                        line,
                        f"{key}.{name}: the number {number} is typed; write the sentence in the manuscript, "
                        f"\\claim{{{key}}}{{... \\val{{KEY}} ...}}; a number that is no result of ours carries a "
                        "comment on its line: # number: where it comes from",
                    )


def _uses(source: Path) -> Iterator[_Use]:
    for path in sorted(source.rglob("*.tex")):
        text = "\n".join(_COMMENT.sub("", line) for line in path.read_text(encoding="utf-8").splitlines())
        for match in _CLAIM.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            apart = bool(match["brace"] and match["gap"])
            sentence = _argument(text, match.end()) if match["brace"] and not apart else None
            yield _Use(path, line, match["key"], apart, sentence)


def _argument(text: str, start: int) -> str:
    """What stands between the brace at `start` and the one that closes it."""
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return text[start + 1 : match.start()]
    return text[start + 1 :]
