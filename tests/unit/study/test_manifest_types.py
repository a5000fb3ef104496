"""The typed manifest of data sets."""

from pathlib import Path

import pytest

from tokenmix.errors import UserError
from tokenmix.study.manifest import load_manifest

ENTRY = """\
toy:
  kind: medmnist
  title: Toy
  task: binary
  classes: [a, b]
  channels: 1
  splits: {train: 3, val: 2, test: 1}
  files:
    28: {url: "https://example.org/toy.npz", md5: "00000000000000000000000000000000"}
    64: {url: "https://example.org/toy_64.npz", sha256: "%s"}
""" % ("0" * 64)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.yaml"
    path.write_text(ENTRY)
    return path


def test_sizes_and_sources(manifest: Path) -> None:
    toy = load_manifest(manifest=manifest)["toy"]
    assert toy.sizes == (28, 64)
    source = toy.source(28)
    assert source is not None
    assert source.md5 == "0" * 32
    assert toy.source(32) is None


def test_one_file_for_every_size(manifest: Path) -> None:
    text = ENTRY[: ENTRY.index("    64")].replace("    28:", "    0:").replace("medmnist", "imagefolder_archive")
    manifest.write_text(text)
    toy = load_manifest(manifest=manifest)["toy"]
    assert toy.sizes is None
    assert toy.source(50) == toy.files[0]


def test_the_projects_manifest_has_every_official_data_set() -> None:
    entries = load_manifest()
    flat = [name for name, entry in entries.items() if entry.kind == "medmnist" and entry.dimensions == 2]
    deep = [name for name, entry in entries.items() if entry.kind == "medmnist" and entry.dimensions == 3]
    assert (len(flat), len(deep)) == (12, 6)
    assert all(entries[name].sizes == (28, 64, 128, 224) for name in flat)
    assert all(entries[name].sizes == (28, 64) for name in deep)
    assert entries["chestmnist"].task == "multi-label"
    assert entries["retinamnist"].task == "ordinal"
    assert sum(entry.kind == "phantom" for entry in entries.values()) >= 2
    assert entries["imagewoof"].carve is not None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("kind: medmnist", "kind: medmist", ["manifest.yaml:2", "did you mean `medmnist`?"]),
        (
            "task: binary",
            "tsk: binary",
            ["toy.tsk: unknown key; did you mean `task`?", "toy.task: is missing"],
        ),
        ("[a, b]", "[a, b, c]", ["two classes"]),
        ('md5: "0', 'md5: "x', ["toy.files.28.md5"]),
        (', md5: "00000000000000000000000000000000"', "", ["toy.files.28", "md5 or sha256"]),
        ("train: 3, ", "", ["toy.splits.train: is missing"]),
        ("channels: 1", "channels: 2", ["toy.channels", "one of 1, 3"]),
    ],
)
def test_mistakes(manifest: Path, old: str, new: str, words: list[str]) -> None:
    assert old in ENTRY
    manifest.write_text(ENTRY.replace(old, new))
    with pytest.raises(UserError) as caught:
        load_manifest(manifest=manifest)
    for word in words:
        assert word in str(caught.value)


def test_a_registered_folder_cannot_take_an_official_name(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "registered").mkdir()
    (tmp_path / "registered" / "toy.yaml").write_text("kind: folder\n")
    with pytest.raises(UserError, match="`toy` belongs to the manifest"):
        load_manifest(tmp_path, manifest)
