"""YAML read safely, with the line of every key and item, and with every mistake noted.

Scalars follow the core schema of YAML 1.2: `1e-3` is a number (YAML 1.1 makes it a string), `yes`, `on` and
`2020-01-01` are strings, numbers have no underscores and no base 60. Tags, merge keys and keys written twice
are refused, and so is a file that is too deep or too large, with its aliases followed.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tokenmix.study.problems import Problem

#: A place in a document: keys and positions from the root.
Place = tuple[str | int, ...]

#: Levels of mappings and lists inside each other; libyaml's composer overflows the stack far above.
DEEPEST = 64
#: Keys and values of one file, counted again for each alias: a few lines of aliases can stand for billions.
MOST_VALUES = 50_000

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,1000}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DEFAULT_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


class _TooMuch(Exception):
    """The file is deeper or larger than a file written by hand."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes only; scalars are resolved here, by the rules above."""

    yaml_implicit_resolvers: dict = {}  # noqa: RUF012 - PyYAML's own protocol


@dataclass
class Document:
    """A file's mapping (empty where it cannot be read), the lines of its places, and what is wrong."""

    name: str
    value: dict[Any, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    readable: bool = True

    def where(self, place: Place) -> str:
        """`file:line` of a place, or of the nearest one around it that was written."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.name}:{self.lines[place]}" if place in self.lines else self.name


def read_yaml(path: Path, name: str) -> Document:
    """Read a YAML file whose root is a mapping; `name` stands for it in messages. Content never raises."""
    document = Document(name)
    try:
        text = path.read_text(encoding="utf-8")
        _check_depth(text)
        node = yaml.compose(text, Loader=_Loader)
        if isinstance(node, yaml.MappingNode):
            document.value = _construct(node, (), document, frozenset())
            return document
    except FileNotFoundError:
        document.readable = False
        elsewhere = ", or start in the project's folder" if name == "config.yaml" else ""
        document.problems.append(Problem(name, f"cannot be read, there is no such file; restore it{elsewhere}"))
        return document
    except OSError as error:
        document.readable = False
        document.problems.append(Problem(name, f"cannot be read ({error.strerror}); restore the file"))
        return document
    except UnicodeDecodeError as error:
        document.readable = False
        document.problems.append(Problem(name, f"is not UTF-8 text (byte {error.start}); save it as UTF-8"))
        return document
    except _TooMuch as error:
        document.readable = False
        document.problems.append(Problem(f"{name}:{error.line}", f"{error}; write less"))
        return document
    except yaml.YAMLError as error:
        document.readable = False
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or type(error).__name__
        document.problems.append(Problem(where, f"is not valid YAML: {reason}; mend that line or the one above"))
        return document
    if node is not None and not (isinstance(node, yaml.ScalarNode) and _scalar(node) is None):
        document.readable = False
        document.problems.append(Problem(f"{name}:{node.start_mark.line + 1}", "must be a mapping: `key: value`"))
    return document


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                line = 1 + (event.start_mark.line if event.start_mark else 0)
                raise _TooMuch(line, f"more than {DEEPEST} levels stand inside each other here")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _construct(node: yaml.Node, place: Place, document: Document, around: frozenset[int]) -> Any:
    line = node.start_mark.line + 1
    document.lines.setdefault(place, line)
    # aliases nest without depth in the text: the place counts the levels that are really there
    if len(place) > DEEPEST or len(document.lines) > MOST_VALUES:
        raise _TooMuch(line, f"more than {DEEPEST} levels or {MOST_VALUES} values, with aliases followed")
    if id(node) in around:
        document.problems.append(Problem(f"{document.name}:{line}", "an alias stands inside what it names"))
        return None
    if node.tag not in _DEFAULT_TAGS:
        document.problems.append(Problem(f"{document.name}:{line}", f"tags are not used here: remove `{node.tag}`"))
    around |= {id(node)}
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*place, i), document, around) for i, item in enumerate(node.value)]
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if key is None:
            document.problems.append(Problem(f"{document.name}:{line}", "a key must be a word or a number"))
            continue
        if key in result:
            dotted = ".".join(map(str, (*place, key)))
            text = f"{dotted}: written twice, first in line {document.lines[(*place, key)]}; remove one of them"
            document.problems.append(Problem(f"{document.name}:{line}", text))
            continue
        document.lines[(*place, key)] = line
        result[key] = _construct(value_node, (*place, key), document, around)
    return result


def _scalar(node: yaml.ScalarNode) -> Any:
    return node.value if node.style else plain(node.value)


def plain(text: str) -> Any:
    """What a scalar without quotation marks means: null, true or false, a number, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) or _INFINITE.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
