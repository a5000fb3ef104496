"""Whether values.json still says what the files that it was collected from give: one value, computed again."""

from tokenmix.errors import UserError
from tokenmix.files import canonical_json
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.registry import Registry, Value
from tokenmix.reporting.values import PARTS

#: what of a value is a result, and how a message calls it
_FIELDS = {"value": "", "text": "the text ", "unit": "the unit ", "n": "n = ", "runs": "the runs "}
#: what the files of a person's disk make of the functions that read them
_UNREADABLE = (UserError, LookupError, TypeError, ValueError, AttributeError, OSError)


def recomputed(study: Study, name: str, value: Value) -> tuple[str, str]:
    """(what does not hold, what could not be checked) of the link from a value's files to its line in values.json.

    One of the two is empty, and both are where the link holds.
    """
    files = ", ".join(value.files) or "the runs of the study"
    tables = study.index["tables"]
    if shown := _shown(value):  # it needs the files of no other table
        if gone := sorted(shown.keys() - tables.keys()):
            return "", f"values.json against {files}: the newest plan has no table {', '.join(gone)}"
        tables = {table: {**tables[table], "datasets": datasets} for table, datasets in shown.items()}
    found, obstacles = _compute(Study(study.path, {**study.index, "tables": tables}), name)
    if found is None and obstacles:
        return "", f"values.json against {files}: {obstacles[0]}"
    if found is None and not study.index["runs"].keys() >= set(value.runs):
        return "", f"values.json against {files}: the newest plan has no such value"
    if found is None:
        return f"values.json holds {name} and {files} give no such value", ""
    differs = [field for field in _FIELDS if _raw(found, field) != _raw(value, field)]
    if not differs:
        return "", ""
    return f"values.json holds {_told(value, differs)} and {files} give {_told(found, differs)}", ""


def _shown(value: Value) -> dict[str, list[str]]:
    """Table -> its data sets, whose metric files a value names."""
    shown: dict[str, list[str]] = {}
    for parts in (file.split("/") for file in value.files):
        if parts[0] == "metrics" and len(parts) == 3:
            dataset = parts[2].rsplit(".", 2)[0]
            shown.setdefault(parts[1], []).append(dataset)
    return {table: list(dict.fromkeys(datasets)) for table, datasets in shown.items()}


def _compute(study: Study, name: str) -> tuple[Value | None, list[str]]:
    """The value as the files give it now, or what stands in the way."""
    obstacles = []
    for add in PARTS:
        registry = Registry()
        try:
            add(registry, study)
        except _UNREADABLE as error:
            obstacles.append(str(error) if isinstance(error, UserError) else f"a file is broken ({error!r})")
        if name in registry:
            return registry[name], []
    return None, obstacles


def _raw(value: Value, field: str) -> str:
    """As JSON, which knows no tuples."""
    return canonical_json(getattr(value, field))


def _told(value: Value, fields: list[str]) -> str:
    raws = {field: getattr(value, field) for field in fields}
    return ", ".join(f"{_FIELDS[field]}{', '.join(raw) if field == 'runs' else raw}" for field, raw in raws.items())
