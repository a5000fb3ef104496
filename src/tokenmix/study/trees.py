"""A Python file as its syntax tree says it: a hash that comments, docstrings and layout leave as it is, and imports.

The dump of a tree is our own: `ast.dump` shows each Python version's new, empty fields.
"""

import ast
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError

#: fields that say how something was written or what a checker should think, not what it does
IGNORED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


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
    imports: list[tuple[int, str, tuple[str, ...]]] = []
    strings: set[str] = set()
    _collect(tree, imports, strings)
    out: list[str] = []
    _dump(tree, out)
    return Parsed(hashlib.sha256("".join(out).encode()).hexdigest(), tuple(imports), frozenset(strings))


def _collect(node: ast.AST, imports: list[tuple[int, str, tuple[str, ...]]], strings: set[str]) -> None:
    """Imports at any depth (functions, branches), except those that only a type checker sees, and strings."""
    if isinstance(node, ast.Import):
        imports += [(0, alias.name, ()) for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        imports.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        strings.add(node.value)
    elif isinstance(node, ast.If) and _is_type_checking(node.test):
        for statement in node.orelse:
            _collect(statement, imports, strings)
        return
    for child in ast.iter_child_nodes(node):
        _collect(child, imports, strings)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _dump(node: ast.AST, out: list[str]) -> None:
    """Append a text of the tree that is the same on every supported Python version."""
    if isinstance(node, ast.Constant):
        # ascii, not repr: which letters repr shows plainly depends on the version's Unicode tables
        out.append(f"{type(node.value).__name__}:{node.value!a}")
        return
    out.append(type(node).__name__)
    out.append("(")
    for field in node._fields:
        value: Any = getattr(node, field, None)
        if isinstance(node, ast.JoinedStr):
            value = _merge_text(value)
        if isinstance(value, list):
            value = [item for item in value if not _does_nothing(item)]
        if field in IGNORED_FIELDS or value is None or value == []:
            continue
        out.append(f"{field}=")
        for item in value if isinstance(value, list) else [value]:
            # a None inside a list marks a missing default or an unpacked mapping: its place matters
            if isinstance(item, ast.AST):
                _dump(item, out)
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
