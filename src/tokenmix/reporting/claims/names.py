"""What the names in claims.yaml mean: tables, data sets, and the rows of a table that a model's name stands for."""

import re
from dataclasses import dataclass

from tokenmix.errors import UserError
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import EXTENSIONS as EXTENSION_WORDS
from tokenmix.reporting.names import FAMILIES, INITS, MIXERS, ModelName, model_name
from tokenmix.study import grammar
from tokenmix.study.grammar import EXTENSIONS, nearest, quote
from tokenmix.study.mixers import mixers

_REFERENCE = re.compile(r"(?:(?P<table>[a-z][a-z0-9_]*)/)?(?P<name>[^/.]+)(?:\.(?P<init>\w+))?")
_SHORT = re.compile(r"(?P<mixer>[a-z_]+?)(?P<kernel>[1-9]\d*)?(?P<extensions>(\+\w+)*)")


@dataclass(frozen=True)
class TableRow:
    """One row of a table of results."""

    table: str
    model: str
    init: str


@dataclass(frozen=True)
class Reference:
    """A model as a claim names it: `[TABLE/]MIXER[KERNEL][+EXTENSION...][.INIT]`, or a full name in that place."""

    table: str
    name: str
    init: str | None

    def rows(self, study: Study) -> list[TableRow]:
        """The rows it stands for in the study: all kernels and initialisations that the name leaves open."""
        if self.table not in study.tables:
            return []
        return [
            TableRow(self.table, model, init)
            for model, init in study.tables[self.table].rows
            if self.init in (None, init) and self.name in _names_of(model_name(model))
        ]

    def words(self, table: str) -> str:
        """As sentences say it, in a claim about `table`."""
        short = _SHORT.fullmatch(self.name)
        if short and short["mixer"] in MIXERS:
            kernel = f" {short['kernel']}×{short['kernel']}" if short["kernel"] else ""
            more = "".join(f" + {EXTENSION_WORDS.get(name, name)}" for name in short["extensions"].split("+")[1:])
            words = MIXERS[short["mixer"]] + kernel + more
        else:
            words = FAMILIES.get(self.name, model_name(self.name).text)
        details = [INITS.get(self.init, self.init)] if self.init else []
        details += [f"table {self.table}"] if self.table != table else []
        return f"{words} ({', '.join(details)})" if details else words


def _names_of(model: ModelName) -> set[str]:
    """The names by which a claim may call a model: in full, with its kernel, for any kernel."""
    extensions = "".join(f"+{name}" for name in model.extensions)
    if not model.arrangement:
        return {model.name, model.mixer}
    return {model.name, f"{model.mixer}{model.kernel or ''}{extensions}", f"{model.mixer}{extensions}"}


def reference(text: str, table: str, study: Study) -> Reference:
    """Read a model's name in a claim about `table`; raises UserError for a name that no table could have."""
    match = _REFERENCE.fullmatch(text)
    if not match:
        raise UserError(f"{quote(text)} is no model; write [TABLE/]MIXER[KERNEL][+EXTENSION][.INIT], like pooling3")
    problems = [known_table(match["table"], study)] if match["table"] else []
    problems.append(_name_problem(match["name"], study))
    if match["init"] and match["init"] not in INITS:
        problems.append(f"unknown initialisation {quote(match['init'])}{nearest(match['init'], INITS)}")
    if any(problems):
        raise UserError("; ".join(filter(None, problems)))
    return Reference(match["table"] or table, match["name"], match["init"])


def _name_problem(name: str, study: Study) -> str | None:
    models = [model_name(model) for table in study.tables.values() for model, _ in table.rows]
    if any(name in _names_of(model) for model in models) or name in FAMILIES:
        return None
    if "-" in name:
        try:
            grammar.parse_model(name)
        except UserError as error:
            return str(error)
        return None
    short = _SHORT.fullmatch(name)
    known = mixers()
    words = [*known, *FAMILIES]
    if not short or short["mixer"] not in known:
        return f"unknown model {quote(name)}{nearest(short['mixer'] if short else name, words)}"
    wrong = [extension for extension in short["extensions"].split("+")[1:] if extension not in EXTENSIONS]
    if wrong:
        return f"unknown extension {quote(wrong[0])}{nearest(wrong[0], EXTENSIONS)}"
    if short["kernel"]:
        return "; ".join(grammar.mixer_problems(short["mixer"], int(short["kernel"][:4]), known)) or None
    return None


def known_table(name: str, study: Study) -> str | None:
    """What is wrong with a table's name, or None; tables that the study leaves out are known by the config."""
    known = dict.fromkeys([*study.tables, *_in_config("tables", study)])
    return None if name in known else f"unknown table {quote(name)}{nearest(name, known)}"


def known_dataset(name: str, study: Study) -> str | None:
    """What is wrong with a data set's name, or None; those that the study leaves out are known by the config."""
    known = dict.fromkeys([*(study.datasets[key]["name"] for key in study.datasets), *_in_config("datasets", study)])
    return None if name in known or name in study.datasets else f"unknown data set {quote(name)}{nearest(name, known)}"


def _in_config(section: str, study: Study) -> list[str]:
    paths = (path.split(".") for path in study.index.get("config_lines", {}))
    return [path[1] for path in paths if path[0] == section and len(path) > 1]
