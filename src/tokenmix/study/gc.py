"""What no study refers to any more: runs, frozen code and prepared data that may be removed.

A study is config.yaml (`full`) or an overlay of workflow/studies, as the files say it now; of other checkouts that
use the same folders, what they have planned. What is kept, and why, is told beside what may go. Archives, registered
folders and whatever else lies in the folders are never looked at: only names that planning and preparing give are
considered.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tokenmix.errors import UserError
from tokenmix.study.checkouts import forget, needed_by_others
from tokenmix.study.frozen import code_folder
from tokenmix.study.manifest import load_manifest
from tokenmix.study.references import References, refer
from tokenmix.study.tolerant import read_object

RUN = re.compile(r"[a-z][a-z0-9_]*-\d+\.[A-Za-z0-9_+-]+\.[a-z]+\.s\d+\.[0-9a-f]{8}")
CODE = re.compile(r"[0-9a-f]{8}")
DATA = re.compile(r"[a-z][a-z0-9_]*-\d+\.[0-9a-f]{8}")
#: seconds without a heartbeat after which no job is thought to hold a lease: far more than a job waits before it takes
#: one over, since the clocks of two machines may differ
SILENCE = 3600.0
#: a folder takes this ending before it is removed, so that no half of it is ever found under its own name
DOOMED = ".removed"


@dataclass(frozen=True)
class Item:
    """One run, code or prepared data set: all its paths, the bytes they hold, and why it is kept, if it is.

    folder: of results or of data, in which it lies.
    """

    kind: Literal["run", "code", "data"]
    name: str
    paths: tuple[Path, ...]
    bytes: int
    folder: Path
    kept: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "folder": str(self.folder), "paths": [str(path) for path in self.paths]}


def survey(root: Path) -> list[Item]:
    """Every run, code and prepared data set of the project, each with the reason for which it stays, if any.

    Raises UserError where a study, or another checkout's note, cannot be read: what it refers to is then unknown.
    """
    references = refer(root)
    others = {folder: needed_by_others(folder, root) for folder in (*references.results, *references.data)}
    items = [item for results in references.results for item in _runs(root, results, references, others[results])]
    for results in references.results:
        items += _folders("code", results / "code", CODE, references.folders, others[results])
    for folder in references.data:
        sources = [Path(entry.path) for entry in load_manifest(folder).values() if entry.path]
        for item in _folders("data", folder, DATA, references.folders, others[folder]):
            (path,) = item.paths
            if not (path / "card.json").is_file() or any(source.is_relative_to(path.resolve()) for source in sources):
                continue  # nothing that was prepared here
            items.append(item)
    return items


def remove(root: Path, items: Iterable[Item]) -> None:
    """Remove items; raises UserError while a workflow runs here, and where the system refuses."""
    locks = root / ".snakemake" / "locks"
    if locks.is_dir() and any(locks.iterdir()):
        raise UserError(
            f"a workflow is at work in this folder ({locks} holds its lock) and its jobs may need what no study "
            "refers to any more; wait for its end, or `snakemake --unlock` where it died"
        )
    items = list(items)
    # somebody may have planned while everything was looked at
    others = {folder: needed_by_others(folder, root) for folder in {item.folder for item in items}}
    for item in items:
        if why := others[item.folder].get(item.name):
            raise UserError(f"{item.name} is needed by now ({why}); call again")
    for item in items:
        for path in item.paths:
            for leftover in path.parent.glob(f".*{DOOMED}"):
                shutil.rmtree(leftover, ignore_errors=True)  # of a call that was cut off
            if item.kind == "run" and path.is_dir() and (holder := lease_holder(path)):
                raise UserError(f"a job {holder} has begun to work at {item.name}; wait for its end and call again")
            try:
                _remove(path)
            except OSError as error:
                raise UserError(f"cannot remove {path}: {error.strerror}; make its folder writable") from error
    for folder in others:
        forget(folder, root, (item.name for item in items if item.folder == folder))


def freed(items: Iterable[Item]) -> int:
    """Bytes that removing the items gives back: a file with another name that stays takes its place as before."""
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    names: dict[tuple[int, int], int] = {}
    for status in (status for item in items for path in item.paths for status in _files(path)):
        key = status.st_dev, status.st_ino
        sizes[key] = status.st_size, status.st_nlink
        names[key] = names.get(key, 0) + 1
    return sum(size for key, (size, links) in sizes.items() if names[key] >= links)


def lease_holder(store: Path) -> str:
    """Who works in a run's store ("on host x"), or nothing where its lease is free or its job long silent."""
    leases = [(int(path.suffix[1:]), path) for path in store.glob("lease.*") if path.suffix[1:].isdigit()]
    if not leases:
        return ""
    _, path = max(leases)
    try:
        beat, holder = path.stat().st_mtime, json.loads(path.read_text())
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        holder = {}
    if not isinstance(holder, dict):
        holder = {}
    if holder.get("released") or time.time() - beat > SILENCE:
        return ""
    return f"on {str(holder.get('host', '')).partition('/')[0] or 'an unknown host'}"


def _runs(root: Path, results: Path, references: References, others: Mapping[str, str]) -> Iterator[Item]:
    """The runs of a results folder; the code and the data that a kept one needs are noted in the references."""
    places: dict[str, list[Path]] = {}
    for folder, ending in (("runs", ""), ("store", ""), ("plan", ".json"), ("benchmarks/train", ".jsonl")):
        for path in _listed(results / folder):
            name = path.name.removesuffix(ending)
            if path.name.endswith(ending) and RUN.fullmatch(name):
                places.setdefault(name, []).append(path)
    for name, paths in sorted(places.items()):
        why = references.runs.get(results / "runs" / name, "") or others.get(name, "")
        if not why and (holder := lease_holder(results / "store" / name)):
            why = f"a job {holder} works at it"
        why = why or references.unknown.get(name.partition("-")[0], "")
        if why:
            _keep_what_made(name, root, results, references)
        yield Item("run", name, tuple(paths), _size(paths), results, why)


def _keep_what_made(run: str, root: Path, results: Path, references: References) -> None:
    """A kept run needs its own code and data, and where it was adopted, the code that computed it."""
    plan = read_object(results / "plan" / f"{run}.json")
    for place in (plan.get("code"), plan.get("data")):
        if isinstance(place, dict) and place.get("folder"):
            references.folders.setdefault((root / str(place["folder"])).resolve(), f"run {run}")
    adopted = read_object(results / "runs" / run / "run.json").get("adopted")
    for entry in adopted if isinstance(adopted, list) else ():
        made_by = code_folder(results, str(entry["code"]["old"])).resolve()
        references.folders.setdefault(made_by, f"computed run {run}, which was adopted")


def _folders(
    kind: Literal["code", "data"],
    folder: Path,
    names: re.Pattern[str],
    kept: Mapping[Path, str],
    others: Mapping[str, str],
) -> list[Item]:
    found = [path for path in _listed(folder) if names.fullmatch(path.name) and path.is_dir()]
    home = folder.parent if kind == "code" else folder
    return [
        Item(kind, p.name, (p,), _size([p]), home, kept.get(p.resolve(), "") or others.get(p.name, "")) for p in found
    ]


def _listed(folder: Path) -> list[Path]:
    """What lies in a folder, in the order of names."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        aside = path.with_name(f".{path.name}{DOOMED}")
        path.rename(aside)
        shutil.rmtree(aside)


def _files(path: Path) -> Iterator[os.stat_result]:
    if path.is_symlink() or path.is_file():
        yield path.lstat()
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name).lstat() for name in names)


def _size(paths: Iterable[Path]) -> int:
    """Bytes of all files, links of one file counted once."""
    return sum({(s.st_dev, s.st_ino): s.st_size for path in paths for s in _files(path)}.values())
