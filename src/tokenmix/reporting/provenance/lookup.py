"""Which value a person means: a key, a cell of a table, a line of another table or of the profile."""

from collections.abc import Sequence

from tokenmix.errors import UserError
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import model_name
from tokenmix.reporting.registry import Registry, nearest
from tokenmix.reporting.reported import comparisons_of
from tokenmix.reporting.tex import key, key_part

#: what is no table of the config -> the beginnings of the keys that its values have
OTHERS = {
    "datasets": ("data",),
    "reported": ("reported",),
    "switches": ("switch",),
    "profile": ("params", "added_params", "macs"),
}
#: candidates that one message shows
_SHOWN = 12
#: (model, data set, metric, initialisation)
_Cell = tuple[str, str, str, str]


def wanted_key(study: Study, registry: Registry, words: Sequence[str]) -> str:
    """The key of the value that the words name: KEY, or TABLE and what stands in the table.

    Raises UserError where no value fits or several do, which it lists.
    """
    table = words[0].removeprefix("table_")
    if table in OTHERS and table not in study.tables:
        return _other_key(study, registry, table, words)
    return _table_key(study, words) if len(words) > 1 or table in study.tables else words[0]


def _table_key(study: Study, words: Sequence[str]) -> str:
    """The key of the value in one cell: TABLE MODEL DATASET METRIC [INIT], each word exact or in a short form.

    Short forms: `local_attn5` for any scale and arrangement, `local_attn` for any kernel, `breastmnist` for any size.
    """
    ((table,),) = _fitting([words[0].removeprefix("table_")], [(name,) for name in study.tables], ("table",))
    cells = study.cells_of(study.tables[table])
    return _cell_key([table, *words[1:]], [(model, dataset, metric, init) for dataset, model, init, metric in cells])


def _cell_key(words: Sequence[str], cells: Sequence[_Cell]) -> str:
    found = _fitting(words[1:], cells, ("model", "data set", "metric", "initialisation"))
    if len(found) > 1:
        raise _choose(words, f"{len(found)} cells", [f"{words[0]} {' '.join(cell)}" for cell in found])
    model, dataset, metric, init = found[0]
    return key(metric, dataset, model, init)


def _other_key(study: Study, registry: Registry, table: str, words: Sequence[str]) -> str:
    """The key of a value that no table of the config shows: each further word is a part of it, in any order.

    The table of reported values shows cells too, which are named as in the config's tables.
    """
    known = [name for name in registry.values if name.partition("/")[0] in OTHERS[table]]
    parts = {part for name in known for part in name.split("/")}
    if table == "reported" and words[1:] and words[1] not in parts:
        cells = dict.fromkeys((each.model, each.dataset, each.metric, each.init) for each in comparisons_of(study))
        if cells:
            return _cell_key([table, *words[1:]], list(cells))
    found = known
    for word in map(key_part, words[1:]):
        exact = [name for name in found if word in name.split("/")]
        found = exact or [name for name in found if any(_is_short(word, part) for part in name.split("/"))]
    if len(found) == 1:
        return found[0]
    raise _choose(words, f"{len(found)} values", found or known)


def _choose(words: Sequence[str], what: str, names: Sequence[str]) -> UserError:
    """The error that lists what could be meant, ready to be pasted."""
    listed = [f"\n  tokenmix trace {name}" for name in names[:_SHOWN]]
    more = f"\n  and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    choice = "choose one of" if names else "this study has none"
    return UserError(f"{' '.join(words)} fits {what}; {choice}" + "".join(listed) + more)


def _fitting(words: Sequence[str], known: Sequence[tuple[str, ...]], kinds: Sequence[str]) -> Sequence[tuple[str, ...]]:
    """Of the known names those whose parts the words name, one word a part; exact ones win over short forms."""
    for place, word in enumerate(words):
        exact = [names for names in known if names[place] == word]
        fitting = exact or [names for names in known if _is_short(word, names[place])]
        if not fitting:
            there = list(dict.fromkeys(names[place] for names in known))
            near = nearest(word, there) or there[:_SHOWN]
            raise UserError(f"no {kinds[place]} here is called {word}; the nearest are {', '.join(near)}")
        known = fitting
    return known


def _is_short(word: str, name: str) -> bool:
    return name.startswith(f"{word}-") or name.endswith(f"-{word}") or word == model_name(name).mixer
