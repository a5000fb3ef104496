"""Mistakes are collected, not raised one by one: each knows where it was written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tokenmix.errors import UserError


@dataclass(frozen=True)
class Problem:
    """One mistake: `where` is `file:line` (or `command line`), `text` what is wrong and what is allowed."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def raise_problems(subject: str, problems: Sequence[Problem], files: Sequence[str] = ()) -> None:
    """Raise one UserError that lists every problem in the order of the files and their lines, if any."""
    unique = list(dict.fromkeys(problems))
    if not unique:
        return
    order = list(dict.fromkeys([*files, *(_split(problem.where)[0] for problem in unique)]))
    unique.sort(key=lambda problem: (order.index(_split(problem.where)[0]), _split(problem.where)[1]))
    count = "1 mistake" if len(unique) == 1 else f"{len(unique)} mistakes"
    raise UserError("\n  ".join([f"{count} in {subject}; nothing was started", *map(str, unique)]))


def _split(where: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*):(\d+)", where)
    return (match[1], int(match[2])) if match else (where, 0)
