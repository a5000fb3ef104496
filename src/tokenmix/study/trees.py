"""A Python file as its syntax tree says it: a hash that comments, docstrings and layout leave as it is, and imports.

The dump of a tree is our own: `ast.dump` shows each Python version's new, empty fields.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError

#: fields that say how something was written or what a checker should think, not what it does
IGNORED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
#: fields of a statement that hold statements, a branch's own first
BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")


@dataclass(frozen=True)
class Parsed:
    """What one file's text says, wherever it lies: `imports` are (level, module, names)."""

    hash: str
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]
    strings: frozenset[str]


def read(path: Path) -> Parsed:
    """What a file says; raises UserError where it is not valid Python."""
    try:
        content = path.read_bytes()
        return _parse(content)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise UserError(f"{path}{line} is not valid Python ({error}); mend it, then plan again") from error


@cache
def _parse(content: bytes) -> Parsed:
    # keyed by content: frozen copies of a file are read again and again, but parsed once
    tree = ast.parse(content)
    out: list[str] = []
    strings: set[str] = set()
    _dump(tree, out, strings)
    return Parsed(hashlib.sha256("".join(out).encode()).hexdigest(), tuple(_imports(tree)), frozenset(strings))


def _imports(node: ast.AST) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Imports at any depth (functions, branches), except those that only a type checker sees."""
    if isinstance(node, ast.Import):
        yield from ((0, alias.name, ()) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.level, node.module or "", tuple(alias.name for alias in node.names)
    hidden = isinstance(node, ast.If) and _is_type_checking(node.test)
    for block in BLOCKS[1:] if hidden else BLOCKS:
        for statement in getattr(node, block, ()):
            yield from _imports(statement)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _dump(node: ast.AST, out: list[str], strings: set[str]) -> None:
    """Append a text of the tree that is the same on every supported Python version; note the strings in it."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            strings.add(node.value)
        # ascii, not repr: which letters repr shows plainly depends on the version's Unicode tables
        out.append(f"{type(node.value).__name__}:{node.value!a}")
        return
    out.append(f"{type(node).__name__}(")
    for field in node._fields:
        value: Any = getattr(node, field, None)
        if value is None or field in IGNORED_FIELDS:
            continue
        items = [item for item in value if not _does_nothing(item)] if isinstance(value, list) else [value]
        if isinstance(node, ast.JoinedStr):
            items = _merge_text(items)
        if not items:
            continue
        out.append(f"{field}=")
        for item in items:
            # a None inside a list marks a missing default or an unpacked mapping: its place matters
            if isinstance(item, ast.AST):
                _dump(item, out, strings)
            else:
                out.append(ascii(item))
            out.append(",")
        out.append(";")
    out.append(")")


def _does_nothing(node: object) -> bool:
    """Docstrings, strings below attributes that explain them, and `pass`."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    return isinstance(node, ast.Pass)


def _merge_text(values: list[ast.expr]) -> list[ast.expr]:
    """Join neighbouring plain text of an f-string and drop empty pieces: Python 3.12 cuts it differently."""
    merged: list[ast.expr] = []
    for value in values:
        text = value.value if isinstance(value, ast.Constant) else None
        last = merged[-1] if merged else None
        if not isinstance(text, str):
            merged.append(value)
        elif isinstance(last, ast.Constant) and isinstance(last.value, str):
            merged[-1] = ast.Constant(last.value + text)
        elif text:
            merged.append(value)
    return merged
