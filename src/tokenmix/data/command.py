"""`tokenmix data`: fetch, prepare, weights, register."""

import argparse
import os
import re
from pathlib import Path

import tokenmix
from tokenmix.data.card import Facts
from tokenmix.errors import UserError
from tokenmix.study.checkpoints import load_checkpoints
from tokenmix.study.config import LARGEST, SMALLEST
from tokenmix.study.datahash import DataIdentity, data_identity
from tokenmix.study.grammar import nearest
from tokenmix.study.manifest import DatasetEntry, load_manifest


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the sub-commands.

    They take folders as options and read no config.yaml: it may change while a study runs.
    """
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = commands.add_parser("fetch", help="fetch and verify a data set's file")
    prepare = commands.add_parser(
        "prepare", help="turn a data set into arrays that are mapped into memory, with a card"
    )
    weights = commands.add_parser("weights", help="fetch, verify and convert published weights")
    register = commands.add_parser("register", help="make a folder train/<class>/, val/<class>/[, test/<class>/] known")
    for command in (fetch, prepare):
        command.add_argument("name", help="name in the manifest, or of a registered folder")
        command.add_argument("--size", type=int, required=True, help="side of the images in pixels")
    weights.add_argument("name", help="name of a checkpoint, such as poolformer_s12")
    for command in (fetch, prepare, weights):
        command.add_argument("--mirror", action="append", default=[], help="folder that is searched first (repeatable)")
        command.add_argument(
            "--offline",
            action="store_true",
            default=os.environ.get("TOKENMIX_OFFLINE", "").lower() not in ("", "0", "false", "no", "off"),
            help="never use the network (or set TOKENMIX_OFFLINE)",
        )
    weights.add_argument("--out", type=Path, help="folder of converted weights (default: weights in the data folder)")
    prepare.add_argument(
        "--padding", choices=("square", "width"), default="square", help="of an archive of folders, see config.yaml"
    )
    prepare.add_argument("--out", type=Path, help="the prepared folder (default: NAME-SIZE.HASH in the data folder)")
    register.add_argument("directory", type=Path, help="the folder of images; it stays where it is")
    register.add_argument("--name", help="how studies shall call it (default: the folder's name)")
    register.add_argument(
        "--size", type=int, default=64, help="side of the images in the config lines that are printed"
    )
    for command in (fetch, prepare, weights, register):
        command.add_argument("--folder", type=Path, help="the data folder (default: that of --out, else data)")


def run(args: argparse.Namespace) -> None:
    """Run the chosen sub-command."""
    size = getattr(args, "size", None)
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise UserError(f"--size is {size}; give a number of pixels from {SMALLEST} to {LARGEST}")
    if args.folder is None:
        out = getattr(args, "out", None)
        args.folder = out.parent if out else Path("data")
    {"fetch": _fetch, "prepare": _prepare, "weights": _weights, "register": _register}[args.action](args)


def _fetch(args: argparse.Namespace) -> None:
    from tokenmix.data.fetch import fetch

    entry = _entry(args.name, load_manifest(args.folder))
    print(fetch(entry, args.size, args.folder / "downloads", args.mirror, args.offline))


def _prepare(args: argparse.Namespace) -> None:
    from tokenmix.data.fetch import fetch
    from tokenmix.data.publish import publish

    manifest = load_manifest(args.folder)
    entry = _entry(args.name, manifest)
    if entry.sizes and args.size not in entry.sizes:
        offered = ", ".join(map(str, entry.sizes))
        raise UserError(f"{args.name} is not offered at {args.size} pixels; choose one of {offered}")
    identity = data_identity(args.name, args.size, manifest, Path(tokenmix.__file__).parents[1], args.padding)
    out = args.out or args.folder / identity.folder
    if re.fullmatch(rf"{args.name}-{args.size}\.[0-9a-f]{{8}}", out.name) and out.name != identity.folder:
        raise UserError(
            f"{out} was planned, but the data set or the code that prepares it has changed since (now "
            f"{identity.folder}); "
            "start the study again, so that it is planned anew"
        )
    source = None
    if entry.files:
        source = fetch(entry, args.size, args.folder / "downloads", args.mirror, args.offline)
    elif entry.path:
        source = Path(entry.path)
    publish(entry.kind, source, _facts(entry, identity), out)
    print(out)


def _weights(args: argparse.Namespace) -> None:
    from tokenmix.data.weights import prepare_weights

    known = load_checkpoints()
    if args.name not in known:
        raise UserError(f"there is no checkpoint {args.name!r}{nearest(args.name, known)}")
    out, cache = args.out or args.folder / "weights", args.folder / "downloads"
    print(prepare_weights(args.name, known[args.name], out, cache, args.mirror, args.offline))


def _register(args: argparse.Namespace) -> None:
    from tokenmix.data.register import register

    name, path = register(args.directory, args.name, args.folder)
    print(f"# registered in {path}; add this to your study's config:\ndatasets:\n  {name}: {{size: {args.size}}}")


def _entry(name: str, manifest: dict[str, DatasetEntry]) -> DatasetEntry:
    if name not in manifest:
        raise UserError(f"there is no data set {name!r}{nearest(name, manifest)}")
    return manifest[name]


def _facts(entry: DatasetEntry, identity: DataIdentity) -> Facts:
    file = entry.source(identity.size)
    source = {"path": entry.path, "sha256": entry.sha256} if entry.path else {}
    if file:
        source = file.model_dump(exclude_none=True)
    if identity.padding != "square":
        source["padding"] = identity.padding
    return Facts(
        name=identity.name,
        size=identity.size,
        title=entry.title,
        task=entry.task,
        classes=tuple(entry.classes),
        channels=entry.channels,
        dimensions=entry.dimensions,
        splits=entry.splits.model_dump(),
        licence=entry.licence,
        doi=entry.doi or None,
        hash=identity.hash,
        phantom=entry.kind == "phantom",
        carve=entry.carve.model_dump() if entry.carve else None,
        source=source,
    )
