"""Identity of prepared data: what changes the arrays changes the hash, what only describes them does not."""

from pathlib import Path
from typing import Any

import pytest

from tokenmix.study import code
from tokenmix.study.datahash import data_identity
from tokenmix.study.manifest import DatasetEntry, load_manifest

SOURCE = Path(code.__file__).parents[2]
ENTRY: dict[str, Any] = {
    "kind": "imagefolder_archive",
    "title": "Woof",
    "task": "multi-class",
    "classes": ["a", "b", "c"],
    "channels": 3,
    "licence": "CC0",
    "doi": "10.1/1",
    "splits": {"train": 80, "val": 10, "test": 10},
    "carve": {"fraction": 0.1, "seed": 0},
    "files": {0: {"url": "https://example.org/a.tgz", "md5": "0" * 32}},
}


def identity(size: int = 64, name: str = "woof", **changes: Any):
    entry = DatasetEntry.model_validate({**ENTRY, **changes})
    return data_identity(name, size, {name: entry}, SOURCE)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 32},
        {"name": "other"},
        {"channels": 1},
        {"task": "ordinal"},
        {"classes": ["a", "c", "b"]},
        {"splits": {"train": 79, "val": 11, "test": 10}},
        {"carve": {"fraction": 0.2, "seed": 0}},
        {"carve": {"fraction": 0.1, "seed": 1}},
        {"carve": None},
        {"files": {0: {"url": "https://example.org/a.tgz", "md5": "1" * 32}}},
        {"kind": "folder", "path": "woof", "sha256": "0" * 64, "files": {}},
    ],
)
def test_what_shapes_the_arrays_counts(change):
    assert identity(**change).hash != identity().hash


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Imagewoof"},
        {"licence": "MIT"},
        {"doi": ""},
        {"dimensions": 2},
        {"files": {0: {"url": "https://mirror.example.org/b.tgz", "md5": "0" * 32, "bytes": 5}}},
        {"files": {**ENTRY["files"], 128: {"url": "https://example.org/c.tgz", "md5": "2" * 32}}},
    ],
)
def test_what_describes_the_data_does_not_count(change):
    assert identity(**change).hash == identity().hash


def test_a_registered_folder_is_its_checksum_wherever_it_lies():
    def folder(path: str, checksum: str) -> str:
        return identity(kind="folder", files={}, path=path, sha256=checksum * 64).hash

    assert folder("here", "1") == folder("there", "1") != folder("here", "2")


def test_the_folder_is_named_by_data_size_and_hash():
    assert identity().folder == f"woof-64.{identity().hash[:8]}"


def test_only_the_code_that_prepares_this_kind_counts():
    parts = identity().parts["code"]
    assert "tokenmix.data.prepare_imagefolder_archive" in parts
    assert "tokenmix.data.prepare_medmnist" not in parts and "tokenmix.data.download" not in parts


def test_it_knows_what_the_images_are_before_they_are_prepared():
    manifest = load_manifest()
    for name, entry in manifest.items():
        found = data_identity(name, 28, manifest, SOURCE)
        assert (found.channels, found.classes) == (entry.channels, len(entry.classes))
        assert found.dimensions == entry.dimensions
