"""`tokenmix gc`: what no study refers to any more, and on request its removal."""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenmix.files import pretty_json
from tokenmix.study.gc import Item, freed, remove, survey

WORDS = {"run": "runs", "code": "frozen code", "data": "prepared data"}
DETAILS = """
Studies are config.yaml (full) and the overlays of workflow/studies of this folder, as they are now; settings that
were given on the command line (--config) are not known. Kept is as well what other checkouts with the same folder of
results or data have planned, what a job works at, and the code that computed an adopted run. After an edit of code no
study refers to the runs of the code before it: adopt first what can be adopted. Archives in the data folder and
registered folders of images are never touched.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix gc`."""
    parser.description = f"{parser.description}. {DETAILS}"
    parser.add_argument("--remove", action="store_true", help="remove what is listed; without it nothing is changed")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(args: argparse.Namespace) -> None:
    """List, or remove, what is not referred to; say what stays and why."""
    items = survey(Path.cwd())
    idle = [item for item in items if not item.kept]
    space = freed(idle)
    if args.remove:
        remove(Path.cwd(), idle)
    if args.json:
        listed = [item.as_dict() for item in items]
        print(pretty_json({"items": listed, "bytes": space, "removed": args.remove}), end="")
    else:
        print("\n".join(_lines(items, space, args.remove)))


def _lines(items: list[Item], space: int, removed: bool) -> Iterator[str]:
    for kind, words in WORDS.items():
        of_kind = [item for item in items if item.kind == kind]
        idle = [item for item in of_kind if not item.kept]
        yield f"{words}: no study refers to {len(idle)} of {len(of_kind)}"
        yield from (f"  {'removed' if removed else 'idle'}  {_size(item.bytes):>9}  {item.name}" for item in idle)
        yield from (f"  kept  {number:>4}  {why}" for why, number in _reasons(of_kind))
    if removed:
        yield f"{_size(space)} freed"
    else:
        yield f"{_size(space)} to be freed" + ("; remove it with: tokenmix gc --remove" if space else "")


def _reasons(items: Iterable[Item]) -> list[tuple[str, int]]:
    return list(Counter(item.kept for item in items if item.kept).items())


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "bytes" or number >= 10 else f"{number:.1f} {unit}"
