"""Turn pydantic's errors into sentences: what was written, what may stand there, the nearest name."""

import types
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tokenmix.study.grammar import nearest, quote
from tokenmix.study.yaml_lines import Place

#: Regular expressions in words.
_PATTERNS = {r"^[a-z][a-z0-9_]*$": "small letters, digits and `_`, a letter first"}


def findings_of(error: ValidationError, model: type[BaseModel]) -> dict[Place, str]:
    """What is wrong, by place: one sentence for each of pydantic's errors."""
    findings: dict[Place, str] = {}
    for item in error.errors(include_url=False):
        is_key = _is_of_a_key(item, model)
        place = item["loc"][:-1] if is_key else item["loc"]
        if union := _union_in(model, place):
            findings.setdefault(union, _not_allowed(item, union, model))
        else:
            findings.setdefault(place, _sentence(item, place, is_key, model))
    return findings


def _is_of_a_key(item: Any, model: type[BaseModel]) -> bool:
    # pydantic adds a part `[key]` to the place of a key that is wrong itself; what somebody wrote may read the same
    if item["loc"][-1:] != ("[key]",) or item["type"] == "extra_forbidden":
        return False
    return get_origin(_strip(type_at(model, item["loc"][:-2])[0])[0]) is dict


def dotted(place: Place) -> str:
    """`tables.classification_4t.mixers.conv.0`."""
    return ".".join(str(part) for part in place)


def _sentence(item: Any, place: Place, is_key: bool, model: type[BaseModel]) -> str:
    kind = item["type"]
    if kind in ("extra_forbidden", "invalid_key"):
        fields = fields_at(model, place[:-1])
        word = str(place[-1])
        if elsewhere := _elsewhere(model, word, place, fields):
            return f"unknown key; did you mean `{elsewhere}`? allowed here: {', '.join(fields)}"
        return f"unknown key{nearest(word, fields)}"
    if kind == "missing":
        return f"is missing; it needs {_described(*type_at(model, place))}"
    if kind == "value_error":
        return f"{item['ctx']['error']}"
    if kind == "assertion_error" or is_key:
        return f"{quote(place[-1])} cannot be a name here; it needs {_key_described(model, place)}"
    return _not_allowed(item, place, model)


def _union_in(model: type[BaseModel], place: Place) -> Place | None:
    """The place of a value that may be of several types, where `place` goes on with pydantic's names of the types.

    Pydantic has an error for each of the types.
    """
    places = (place[:end] for end in range(1, len(place)))
    return next((above for above in places if len(_members(type_at(model, above)[0])) > 1), None)


def _not_allowed(item: Any, place: Place, model: type[BaseModel]) -> str:
    kind, given = item["type"], item["input"]
    annotation, metadata = type_at(model, place)
    options = _options(annotation)
    wanted = _described(annotation, metadata)
    hint = ""
    if options and isinstance(given, str):
        close = get_close_matches(given, [str(option) for option in options], n=1, cutoff=0.55)
        hint = f"; did you mean `{close[0]}`?" if close else ""
    elif isinstance(given, str) and ("bool" in kind) and given.lower() in ("yes", "on", "no", "off"):
        hint = f"; write {'true' if given.lower() in ('yes', 'on') else 'false'}"
    hint += "" if hint.endswith("?") else ";"
    return f"{quote(_shown(given))} is not allowed{hint} needs {wanted}"


def _shown(value: Any) -> Any:
    # a text that looks like a number is shown with its quotation marks, true and null as YAML writes them
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and (not value or value[0] in "0123456789+-. "):
        return f'"{value}"'
    return value


def _strip(annotation: Any, metadata: Iterable[Any] = ()) -> tuple[Any, list[Any], bool]:
    """An annotation taken apart: the bare type, its constraints, whether None is allowed."""
    found, optional = list(metadata), False
    while True:
        if isinstance(annotation, FieldInfo):
            annotation = annotation.annotation
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            for extra in more:
                found += extra.metadata if isinstance(extra, FieldInfo) else [extra]
        elif get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation):
            optional = True
            annotation = Union[tuple(part for part in get_args(annotation) if part is not type(None))]  # noqa: UP007
        else:
            return annotation, found, optional


def type_at(model: type[BaseModel], place: Place) -> tuple[Any, list[Any]]:
    """The type and the constraints of what stands at `place`; `Any` where the types know no such place."""
    annotation: Any = model
    metadata: list[Any] = []
    for part in place:
        bare, _, _ = _strip(annotation)
        arguments = get_args(bare)
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            if part not in bare.model_fields:
                return Any, []
            field = bare.model_fields[str(part)]
            annotation, metadata = field.annotation, list(field.metadata)
        elif get_origin(bare) in (dict, list) and arguments:
            annotation, metadata = arguments[-1], []
        else:
            return Any, []
    return annotation, metadata


def fields_at(model: type[BaseModel], place: Place) -> list[str]:
    """The keys allowed at `place`; empty where any name is allowed or no mapping stands."""
    bare, _, _ = _strip(type_at(model, place)[0])
    return list(bare.model_fields) if isinstance(bare, type) and issubclass(bare, BaseModel) else []


def _elsewhere(model: type[BaseModel], word: str, place: Place, fields: list[str]) -> str | None:
    """The full path of a key that is right, but stands in the wrong section."""
    if get_close_matches(word, fields, n=1, cutoff=0.75):
        return None
    paths = [word] if word in model.model_fields and len(place) > 1 else []
    paths += [f"{section}.{word}" for section in model.model_fields if word in fields_at(model, (section,))]
    return paths[0] if paths else None


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types that a value may have: one, or those of a union."""
    bare, _, _ = _strip(annotation)
    return get_args(bare) if get_origin(bare) in (Union, types.UnionType) else (bare,)


def _options(annotation: Any) -> tuple[Any, ...]:
    """The words that a type allows."""
    bare = (_strip(member)[0] for member in _members(annotation))
    return tuple(option for member in bare if get_origin(member) is Literal for option in get_args(member))


def _key_described(model: type[BaseModel], place: Place) -> str:
    bare, _, _ = _strip(type_at(model, place[:-1])[0])
    return _described(get_args(bare)[0], []) if get_args(bare) else "a word"


def _described(annotation: Any, metadata: Iterable[Any]) -> str:
    """What a type allows, in words: `a whole number of at least 1 and at most 256`."""
    bare, constraints, optional = _strip(annotation, metadata)
    limits: dict[str, Any] = {}
    for constraint in constraints:
        for name in ("gt", "ge", "lt", "le", "min_length", "max_length", "pattern"):
            value = getattr(constraint, name, None)
            if value is not None:
                limits[name] = value
    words = [
        f"{text} {limits[name]:.12g}"
        for name, text in (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most"))
        if name in limits
    ]
    within = f" ({' and '.join(words)})" if words else ""
    if len(members := _members(bare)) > 1:
        text = ", or ".join(_described(member, []) for member in members)
    elif options := _options(bare):
        text = f"{'one of ' if len(options) > 1 else ''}{', '.join(str(option) for option in options)}"
    elif bare is bool:
        text = "true or false"
    elif bare is int:
        text = f"a whole number{within}"
    elif bare is float:
        text = f"a number{within}"
    elif bare is str:
        pattern = limits.get("pattern")
        text = f"a text of {_PATTERNS.get(pattern, pattern)}" if pattern else "a text"
        text += f", at least {limits['min_length']} long" if limits.get("min_length", 0) > 1 else ""
        text += f", at most {limits['max_length']} long" if "max_length" in limits else ""
        text = "a text that is not empty" if text == "a text" and limits.get("min_length") == 1 else text
    elif get_origin(bare) is list:
        number = " of one or more" if limits.get("min_length") == 1 else ""
        number += f" of at most {limits['max_length']}" if "max_length" in limits else ""
        text = f"a list{number}, each {_described(get_args(bare)[0], [])}"
    elif get_origin(bare) is dict:
        text = "a mapping of names"
    elif isinstance(bare, type) and issubclass(bare, BaseModel):
        text = f"a mapping with the keys {', '.join(bare.model_fields)}"
    else:
        text = "another value"
    return f"{text}, or nothing" if optional else text
