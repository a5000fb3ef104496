"""Where every run of a study is, told from files alone: works on any machine that sees the results, and writes nothing.

Files may vanish, be replaced or be half-written while they are read: what cannot be read counts as not there,
and the next look sees it.
"""

import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from tokenmix.errors import UserError
from tokenmix.study.tolerant import read_object
from tokenmix.training.lease import SILENCE, is_gone
from tokenmix.training.progress import FILE as PROGRESS

#: running: a job holds the run and its heart beats. silent: a job holds it, but its heart stands still; it has
#: probably died, and the next job takes over. queued: none has begun, or one stopped and another will go on.
State = Literal["running", "silent", "failed", "diverged", "queued", "done"]
STATES: tuple[State, ...] = get_args(State)

#: last lines of a log that are shown, and bytes that are read for them
LOG_LINES, LOG_BYTES = 5, 4096
#: what a pack notes in the store about how a training ended, and which of these ends are failures
OUTCOME, FAILURES = "packed.json", ("failed", "crashed")
_LEASE = re.compile(r"lease\.(\d+)")


@dataclass(frozen=True)
class RunStatus:
    """One run. facts: what its training wrote last (progress.json); log: its log's last lines where it failed."""

    run: str
    state: State
    host: str = ""
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    log: tuple[str, ...] = ()

    def number(self, name: str) -> float | None:
        """A figure of its progress, or None where there is none."""
        value = self.facts.get(name)
        usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return value if usable else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = ("epoch", "epochs", "iteration", "iterations", "loss", "score", "validated_epoch")
        figures = {name: self.number(name) for name in (*names, "images_per_second", "seconds_left")}
        rest = {"host": self.host, "reason": self.reason, "log": list(self.log)}
        return {"state": self.state, "selection": self.facts.get("selection"), **figures, **rest}


@dataclass(frozen=True)
class StudyStatus:
    """A study's runs in the order of its plan."""

    study: str
    index: Path
    runs: tuple[RunStatus, ...]

    @property
    def counts(self) -> dict[State, int]:
        """Runs by state, none left out."""
        counted = Counter(run.state for run in self.runs)
        return {state: counted[state] for state in STATES}


def look(index: Path, logs: Path) -> StudyStatus:
    """The state of every run of a study index `<results>/plan/<study>.<hash>.json`; `logs` holds `<run>.log`."""
    content = read_object(index)
    runs = content.get("runs")
    if not isinstance(runs, dict):
        raise UserError(f"{index} is no index of a study; plan the study again")
    results = index.parent.parent
    # one listing of a folder costs less than asking for thousands of files one by one
    seen = {name: _names(results / name) for name in ("runs", "store")}
    return StudyStatus(str(content.get("study", "")), index, tuple(_look_at(run, results, seen, logs) for run in runs))


def _look_at(run: str, results: Path, seen: Mapping[str, set[str]], logs: Path) -> RunStatus:
    if run in seen["runs"] and (status := read_object(results / "runs" / run / "run.json").get("status")):
        return _ended(run, status)
    store = results / "store" / run
    files = _names(store) if run in seen["store"] else set()
    if "finished.json" in files and (status := read_object(store / "run.json").get("status")):
        return _ended(run, status)
    facts = read_object(store / PROGRESS) if PROGRESS in files else {}
    beat, host, gone = _holder(store, files)
    outcome = read_object(store / OUTCOME) if OUTCOME in files else {}
    # a training that was killed could not release its lease, but its pack saw it die and noted so
    if outcome.get("status") in FAILURES and _changed(store / OUTCOME) >= beat:
        reason = f"{outcome['status']}, exit code {outcome.get('exit')}"
        return RunStatus(run, "failed", reason=reason, facts=facts, log=_last_lines(logs, run))
    if not beat:
        return RunStatus(run, "queued", facts=facts)
    age = time.time() - beat
    if age < -SILENCE:
        # whether it lives cannot be told without watching it
        reason = f"its last sign of life is dated {-age:.0f} s ahead: the clocks of this machine and the files differ"
        return RunStatus(run, "silent", host, reason, facts, _last_lines(logs, run))
    if gone or age > SILENCE:
        return RunStatus(run, "silent", host, f"no sign of life for {age:.0f} s", facts, _last_lines(logs, run))
    left = facts.get("seconds_left")
    if isinstance(left, int | float):
        facts["seconds_left"] = max(0.0, left - max(0.0, time.time() - _changed(store / PROGRESS)))
    return RunStatus(run, "running", host, facts=facts)


def _ended(run: str, status: Any) -> RunStatus:
    return RunStatus(run, "diverged" if status == "diverged" else "done")


def _holder(store: Path, files: set[str]) -> tuple[float, str, bool]:
    """Last heartbeat and host of the job that holds a store (0 where none does), and whether it is known to be dead."""
    numbers = [int(match[1]) for name in files if (match := _LEASE.fullmatch(name))]
    if not numbers:
        return 0.0, "", False
    try:
        # opening the file makes network file systems ask the server for its attributes
        with (store / f"lease.{max(numbers)}").open() as file:
            beat, text = os.fstat(file.fileno()).st_mtime, file.read()
        holder = json.loads(text)
    except OSError:
        return 0.0, "", False
    except ValueError:
        holder = {}  # where there are no hard links, its content comes a moment after the file
    if not isinstance(holder, dict) or not {"host", "pid", "start"} <= holder.keys():
        return (0.0, "", False) if isinstance(holder, dict) and holder.get("released") else (beat, "", False)
    return beat, str(holder["host"]).partition("/")[0], is_gone(holder)


def _last_lines(logs: Path, run: str) -> tuple[str, ...]:
    try:
        with (logs / f"{run}.log").open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ()
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    # a log may hold control codes, which must not reach the terminal
    return tuple("".join(c if c.isprintable() else " " for c in line) for line in lines[-LOG_LINES:])


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return set()


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
