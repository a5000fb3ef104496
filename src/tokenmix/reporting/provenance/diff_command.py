"""`tokenmix diff`: which values and claims moved since a revision or another folder of results, as Markdown."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenmix.reporting.inputs import Study
from tokenmix.reporting.provenance.diff import Diff, Move, compare, exists, read_folder, read_revision
from tokenmix.study.newest import newest_index

#: rows and names that are shown at once; the others are folded away
_SHOWN = 30


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tokenmix diff`."""
    parser.add_argument("other", metavar="REV | FOLDER", help="a git revision, another results folder or values.json")
    parser.add_argument("--study", help="overlay of workflow/studies, or full; default: config.yaml's")


def run(args: argparse.Namespace) -> None:
    """Print what moved from the other state to the one of this folder."""
    study = Study.open(newest_index(Path.cwd(), args.study))
    now = read_folder(study.paper, study.name)
    if exists(args.other):
        before = read_folder(Path(args.other), study.name)
    else:
        before = read_revision(args.other, study.paper / "values.json")
    print("\n".join(_markdown(compare(before, now), study.name)))


def _markdown(diff: Diff, study: str) -> Iterator[str]:
    yield f"## Values of `{study}`: {_plain(diff.before.name)} → now"
    yield ""
    judged = [move for move in diff.moves if move.share is not None]
    others = [move for move in diff.moves if move.share is None]
    outside = sum(move.share > 1 for move in judged if move.share is not None)
    yield (
        f"{len(diff.moves)} values moved, {outside} of them by more than half of their interval; {diff.same} are the "
        f"same, {len(diff.new)} new, {len(diff.gone)} gone; {len(diff.flipped)} claims flipped."
    )
    if diff.flipped:
        yield from ("", "| claim | before | now |", "| --- | --- | --- |")
        yield from (f"| {_code(key)} | {_plain(old)} | **{_plain(new)}** |" for key, old, new in diff.flipped)
    heads = ("| value | before | now | move | half intervals |", "| --- | ---: | ---: | ---: | ---: |")
    yield from _folded("", heads, [_row(move) for move in judged])
    heads = ("| value without interval | before | now |", "| --- | ---: | ---: |")
    texts = [f"| {_code(move.key)} | {_plain(move.before.text)} | {_plain(move.after.text)} |" for move in others]
    yield from _folded("", heads, texts)
    for title, keys in (("New", diff.new), ("Gone", diff.gone)):
        yield from _folded(f"{title}:", (), [f"- {_code(key)}" for key in keys])


def _row(move: Move) -> str:
    share = f"{move.share:.2f}"
    numbers = f"{_plain(move.before.text)} | {_plain(move.after.text)} | {_signed(move)}"
    return f"| {_code(move.key)} | {numbers} | {f'**{share}**' if move.share and move.share > 1 else share} |"


def _signed(move: Move) -> str:
    return f"{move.move:+.3g}".replace("-", "−")


def _folded(title: str, heads: Iterable[str], rows: list[str]) -> Iterator[str]:
    """Rows below their heads; those that are many are folded away, as Markdown of forges can."""
    if not rows:
        return
    heads = list(heads)
    yield from ("", *([title, ""] if title else []), *heads, *rows[:_SHOWN])
    if len(rows) > _SHOWN:
        more = rows[_SHOWN:]
        yield from ("", f"<details><summary>{len(more)} more</summary>", "", *heads, *more, "", "</details>")


def _code(key: str) -> str:
    # keys hold no sign that has a meaning inside code
    return f"`{key}`"


def _plain(text: str) -> str:
    """Text in a cell of a table: people's own names may hold any sign."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>|#~" else char for char in " ".join(text.split()))
