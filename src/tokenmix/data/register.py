"""Register a user's folder of images, so that studies can name it like any data set."""

import hashlib
import re
from pathlib import Path
from typing import Any

import yaml

from tokenmix.data.decode import BrokenImage, is_grey, open_image
from tokenmix.data.fetch import expanded
from tokenmix.data.folder import ImageFolder, find_images, folder_hash, split_cases
from tokenmix.data.prepare_folder import broken_message
from tokenmix.errors import UserError
from tokenmix.files import write_atomic
from tokenmix.study.manifest import NAME, load_manifest
from tokenmix.study.yaml_lines import plain

#: how a validation split is carved where the folder has no test split
CARVE = {"fraction": 0.1, "seed": 0}


def register(folder: Path, name: str | None, data_folder: Path) -> tuple[str, Path]:
    """Hash the images of `folder`, write `<data_folder>/registered/<name>.yaml`; return name and path.

    The images stay where they are. Raises UserError for a wrong layout, unreadable images or a name in use.
    """
    folder = expanded(folder).resolve()
    if not str(folder).isprintable():
        raise UserError(f"{str(folder)!r} cannot be registered; rename it: UTF-8, no control characters")
    name = name or re.sub(r"[^a-z0-9]+", "_", folder.name.lower()).strip("_")
    try:
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder; name the folder that holds train/ and val/")
        name = _checked_name(name)
        found = find_images(folder)
        channels, checksum = _read_all(found)
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"{where} cannot be read: {error.strerror}; make it readable, or remove it") from error
    path = data_folder / "registered" / f"{name}.yaml"
    _check_free(name, path, folder, checksum, data_folder)
    write_atomic(path, _entry(found, name, channels, checksum))
    return name, path


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a data set; choose one with --name: a small letter, then small letters, "
            "digits and underscores, 40 at most"
        )
    return name


def _read_all(found: ImageFolder) -> tuple[int, str]:
    """Channels (1 if every image is grey, else 3) and the checksum of all images; every file is read once."""
    checksums, broken, channels = [], [], 1
    for path in (path for cases in found.cases.values() for path, _ in cases):
        data = (found.root / path).read_bytes()
        checksums.append((path, hashlib.sha256(data).hexdigest()))
        try:
            if not is_grey(open_image(data)):
                channels = 3
        except BrokenImage as error:
            broken.append(f"{path}: {error}")
    if broken:
        raise UserError(broken_message(broken, found.root))
    return channels, folder_hash(checksums)


def _check_free(name: str, path: Path, folder: Path, checksum: str, data_folder: Path) -> None:
    known = load_manifest(data_folder).get(name)
    if known is None:
        return
    if known.kind != "folder":
        raise UserError(f"the name {name} belongs to {known.title} of the manifest; choose another with --name")
    # the same folder again, or the same images at another place, renew the entry
    if Path(known.path) != folder and known.sha256 != checksum:
        raise UserError(f"the name {name} stands for {known.path} in {path}; choose another with --name")


def _entry(found: ImageFolder, name: str, channels: int, checksum: str) -> str:
    carve = None if "test" in found.cases else CARVE
    entry: dict[str, Any] = {
        "kind": "folder",
        "title": name,
        "task": "binary" if len(found.classes) == 2 else "multi-class",
        "classes": list(found.classes),
        "channels": channels,
        "dimensions": 2,
        "licence": "not stated",
        "splits": {split: len(cases) for split, cases in split_cases(found, carve).items()},
        "path": str(found.root),
        "sha256": checksum,
    }
    if carve:
        entry["carve"] = carve
    head = "# Written by `tokenmix data register`; title, licence and doi may be edited.\n"
    return head + yaml.dump(entry, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that our reader would take for numbers, such as a class `08`."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if plain(text) == text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)
