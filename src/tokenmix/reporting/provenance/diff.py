"""Two states of a study's values: what moved, by how much against its interval, which claims flipped."""

import json
import math
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.reporting.registry import Registry, Value

#: relative difference below which two computations of a value count as the same
_SAME = 1e-9
_STATISTICS = ("std", "low", "high")
#: no word of deleting: what a user names may be any file
_REMEDY = "give a results folder, a values.json, or a revision with sound results"
_VALUES, _CLAIMS = "values.json", "claims.json"


@dataclass(frozen=True)
class State:
    """Values and verdicts of claims (key -> verdict) at one place."""

    name: str
    values: Mapping[str, Value]
    claims: Mapping[str, str]


@dataclass(frozen=True)
class Move:
    """A value in two states. share: its move in halves of the wider interval; None where it has no interval."""

    key: str
    before: Value
    after: Value
    move: float | None
    share: float | None


@dataclass(frozen=True)
class Diff:
    """What differs, the largest move against its interval first. same: number of values that did not move."""

    before: State
    after: State
    moves: tuple[Move, ...]
    same: int
    new: tuple[str, ...]
    gone: tuple[str, ...]
    flipped: tuple[tuple[str, str, str], ...]


def exists(name: str) -> bool:
    """Whether a name is that of a file or folder; one that no file can have is none."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def read_folder(path: Path, study: str) -> State:
    """The state in a results folder, a study's folder in it, its folder `paper`, or a values.json itself."""
    places = (path, path / _VALUES, path / "paper" / _VALUES, path / study / "paper" / _VALUES)
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise UserError(
            f"{path} holds no values of the study {study}; give a results folder with {study}/paper/{_VALUES}, "
            "or such a file"
        )
    claims = file.with_name(_CLAIMS)
    return State(
        str(path),
        _values(_text(file), str(file)),
        _verdicts(_json(_text(claims), str(claims))) if claims.is_file() else {},
    )


def read_revision(revision: str, file: Path) -> State:
    """The state that a git revision holds at `file`.

    Raises UserError where there is no such revision and where it holds no results, as most do: git ignores them, and
    knows nothing of a folder outside the repository.
    """
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise UserError(f"{revision} is neither a folder nor a revision of this repository; give one of both")
    commit = commit.strip()
    top = (_git("rev-parse", "--show-toplevel") or "").rstrip("\n")
    if not file.resolve().is_relative_to(Path(top).resolve()):
        raise UserError(
            f"{file} lies outside the repository {top}, so that {revision} ({commit[:8]}) and all other revisions are "
            "without it; keep a copy of the results folder and give that"
        )
    file = Path(os.path.relpath(file))
    text = _git("show", f"{commit}:./{file.as_posix()}")
    if text is None:
        raise UserError(
            f"{revision} ({commit[:8]}) is a revision without results: it holds no {file}, since git ignores results; "
            f"give a folder with the results of that time, or commit such files from now on: git add -f {file}"
        )
    claims = _git("show", f"{commit}:./{file.with_name(_CLAIMS).as_posix()}")
    where = f"{revision}:{file}"
    return State(f"{revision} ({commit[:8]})", _values(text, where), _verdicts(_json(claims, where)) if claims else {})


def compare(before: State, after: State) -> Diff:
    """What moved between two states; ends of intervals and spreads go with their value."""
    keys = [key for key in after.values if not _is_statistic(key, after.values)]
    both = [key for key in keys if key in before.values]
    moves = [move for key in both if (move := _move(key, before, after)) is not None]
    moves.sort(key=lambda move: (-(move.share if move.share is not None else -1.0), move.key))
    claims = dict.fromkeys([*before.claims, *after.claims])
    told = ((key, before.claims.get(key, "absent"), after.claims.get(key, "absent")) for key in claims)
    return Diff(
        before,
        after,
        tuple(moves),
        len(both) - len(moves),
        tuple(key for key in keys if key not in before.values),
        tuple(k for k in before.values if k not in after.values and not _is_statistic(k, before.values)),
        tuple(claim for claim in told if claim[1] != claim[2]),
    )


def _move(key: str, before: State, after: State) -> Move | None:
    old, new = before.values[key], after.values[key]
    if old.value == new.value:
        return None
    if not _is_real(old.value) or not _is_real(new.value):
        return Move(key, old, new, None, None)
    move = new.value - old.value
    if math.isclose(old.value, new.value, rel_tol=_SAME, abs_tol=1e-12):
        return None
    halves = [half for state in (before, after) if (half := _half_width(key, state.values)) is not None]
    return Move(key, old, new, move, abs(move) / max(halves) if halves and max(halves) > 0 else None)


def _half_width(key: str, values: Mapping[str, Value]) -> float | None:
    """Half of a value's interval in one state."""
    low, high = values.get(f"{key}/low"), values.get(f"{key}/high")
    if low is None or high is None or not _is_real(low.value) or not _is_real(high.value):
        return None
    return (high.value - low.value) / 2


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_statistic(key: str, values: Mapping[str, Value]) -> bool:
    base, _, last = key.rpartition("/")
    return last in _STATISTICS and base in values


def _verdicts(claims: Any) -> dict[str, str]:
    """Key -> verdict of a claims.json, which maps keys to records with a `verdict`."""
    entries: Iterator[tuple[str, Any]] = iter(claims.items()) if isinstance(claims, dict) else iter(())
    return {key: str(entry["verdict"]) for key, entry in entries if isinstance(entry, dict) and "verdict" in entry}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); {_REMEDY}") from error


def _values(text: str, name: str) -> dict[str, Value]:
    return Registry.parse(_json(text, name), name, _REMEDY).values


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} cannot be read as JSON ({error}); {_REMEDY}") from error


def _git(*arguments: str) -> str | None:
    """What git prints, or None where it refuses."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError("git is not installed; compare with a folder of results") from error
    return done.stdout if done.returncode == 0 else None
