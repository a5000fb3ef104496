"""MedMNIST archives: right arrays and card; a damaged or foreign one is one message and leaves nothing."""

import io
import json
import re
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from factories import facts, medmnist_arrays, tree, write_npz
from PIL import Image

from tokenmix.data.arrays import PixelStatistics
from tokenmix.data.card import Facts
from tokenmix.data.publish import publish
from tokenmix.errors import UserError

Arrays = dict[str, np.ndarray]


def prepared(tmp_path: Path, about: Facts, arrays: Arrays) -> tuple[Path, dict]:
    out = tmp_path / "out"
    publish("medmnist", write_npz(tmp_path / "tiny.npz", arrays), about, out)
    return out, json.loads((out / "card.json").read_text())


@pytest.mark.parametrize(("channels", "dimensions"), [(1, 2), (3, 2), (1, 3)])
def test_arrays_and_card_hold_what_the_archive_holds(tmp_path: Path, channels: int, dimensions: int) -> None:
    about = facts(channels=channels, dimensions=dimensions)
    arrays = medmnist_arrays(about)
    out, card = prepared(tmp_path, about, arrays)
    for split, count in about.splits.items():
        images, labels = np.load(out / f"{split}_images.npy"), np.load(out / f"{split}_labels.npy")
        assert images.shape == (count, *about.image_shape) and images.dtype == np.uint8
        assert np.array_equal(images.reshape(arrays[f"{split}_images"].shape), arrays[f"{split}_images"])
        assert np.array_equal(labels, arrays[f"{split}_labels"][:, 0]) and labels.dtype == np.int64
        assert card["counts"][split] == {
            name: int((labels == number).sum()) for number, name in enumerate(about.classes)
        }
    train = np.load(out / "train_images.npy").astype(np.float64) / 255
    axes = tuple(range(train.ndim - 1))
    assert card["mean"] == pytest.approx(train.mean(axis=axes), abs=1e-12)
    assert card["std"] == pytest.approx(train.std(axis=axes), abs=1e-12)
    assert card["n"] == about.splits and card["hash"] == about.hash and card["carved"] is None
    with Image.open(out / "samples.png") as picture:
        assert picture.height > 64 * len(about.classes)


def test_blocks_of_any_size_give_the_same_statistics() -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 3), dtype=np.uint8)
    whole, parts = PixelStatistics(3), PixelStatistics(3)
    whole.add(images)
    for image in images[::-1]:
        parts.add(image[None])
    assert whole.mean_std() == parts.mean_std()


def test_an_image_larger_than_a_block_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenmix.data.prepare_medmnist.BLOCK_BYTES", 100)
    about = facts(size=16)
    arrays = medmnist_arrays(about)
    out, _ = prepared(tmp_path, about, arrays)
    assert np.array_equal(np.load(out / "val_images.npy")[..., 0], arrays["val_images"])


def test_several_labels_per_case_stay_a_matrix_and_are_counted_one_by_one(tmp_path: Path) -> None:
    about = facts(task="multi-label")
    arrays = medmnist_arrays(about)
    out, card = prepared(tmp_path, about, arrays)
    labels = np.load(out / "train_labels.npy")
    assert labels.dtype == np.uint8 and np.array_equal(labels, arrays["train_labels"])
    assert list(card["counts"]["train"].values()) == arrays["train_labels"].sum(axis=0).tolist()
    assert card["task"] == "multi-label"


def test_an_ordinal_task_keeps_its_order_of_classes(tmp_path: Path) -> None:
    about = facts(task="ordinal", classes=("grade 0", "grade 1", "grade 2"))
    out, card = prepared(tmp_path, about, medmnist_arrays(about))
    assert (card["task"], card["classes"]) == ("ordinal", ["grade 0", "grade 1", "grade 2"])
    assert np.load(out / "train_labels.npy").shape == (12,)


def test_preparing_twice_gives_the_same_bytes_and_replaces_the_old(tmp_path: Path) -> None:
    arrays = medmnist_arrays(facts())
    out, _ = prepared(tmp_path, facts(), arrays)
    first = tree(out)
    (out / "left_over.txt").write_text("of an older attempt")
    prepared(tmp_path, facts(), arrays)
    assert tree(out) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tiny.npz"]


def test_floating_point_images_in_the_unit_interval_are_scaled(tmp_path: Path) -> None:
    arrays = medmnist_arrays(facts())
    wanted = arrays["val_images"]
    arrays["val_images"] = (wanted / 255).astype(np.float32)
    out, _ = prepared(tmp_path, facts(), arrays)
    assert np.array_equal(np.load(out / "val_images.npy")[..., 0], wanted)


def _nan(arrays: Arrays) -> None:
    arrays["val_images"] = arrays["val_images"] / 255
    arrays["val_images"][3, 2, 2] = np.nan


def _objects(arrays: Arrays) -> None:
    arrays["train_images"] = np.array([{"a": 1}] * 12, dtype=object)


BAD: dict[str, tuple[Callable[[Arrays], object], str]] = {
    "missing split": (lambda a: (a.pop("test_images"), a.pop("test_labels")), "lacks test_images, test_l"),
    "wrong size": (lambda a: a.update(train_images=a["train_images"][:, :7]), "shape (12, 7, 8) where"),
    "other count": (lambda a: a.update(val_images=a["val_images"][:4]), "val_images in"),
    "fewer cases": (lambda a: a.update(val_labels=a["val_labels"][:4]), "4 cases where tiny has 5"),
    "label too high": (lambda a: a["test_labels"].__setitem__((2, 0), 3), "label 3 of case 2 is out of"),
    "labels as matrix": (lambda a: a.update(test_labels=np.zeros((7, 3), int)), "labels of shape (7, 3)"),
    "labels as text": (lambda a: a.update(test_labels=np.full((7, 1), "cat")), "labels of type"),
    "no axis": (lambda a: a.update(val_labels=np.array(3)), "is a single number"),
    "type of no width": (lambda a: a.update(val_images=np.zeros((5, 8, 8), "V0")), "images of type |V0"),
    "16 bits": (lambda a: a.update(val_images=a["val_images"].astype(np.uint16)), "images of type uint16"),
    "NaN": (_nan, "NaN or infinite pixels in image 3"),
    "0..255 as float": (lambda a: a.update(val_images=a["val_images"] * 1.0), "scale floating-point images"),
    "Python objects": (_objects, "holds Python objects"),
    "Fortran order": (
        lambda a: a.update(val_images=np.asfortranarray(a["val_images"])),
        "is stored in Fortran order",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_an_unfit_archive_is_one_message_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    spoil, message = BAD[case]
    arrays = medmnist_arrays(facts())
    spoil(arrays)
    with pytest.raises(UserError, match=re.escape(message)) as problem:
        prepared(tmp_path, facts(), arrays)
    assert "tiny.npz" in str(problem.value)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.npz"]


@pytest.mark.parametrize(
    "header",
    [b"{", b"(" * 9000, b"-" * 9000 + b"1", b"{[]: 1}", b"{1: 2, 'a': 3, 'b': 4}", b"\xff"],
    ids=["cut", "deep", "signs", "unhashable", "mixed keys", "no text"],
)
@pytest.mark.parametrize("version", [1, 2, 9])
def test_a_header_that_is_none_is_one_message(tmp_path: Path, header: bytes, version: int) -> None:
    write_npz(tmp_path / "whole.npz", medmnist_arrays(facts()))
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole, zipfile.ZipFile(tmp_path / "bad.npz", "w") as bad:
        for name in whole.namelist():
            damaged = b"\x93NUMPY%c\0" % version + size + header
            bad.writestr(name, damaged if name == "val_labels.npy" else whole.read(name))
    with pytest.raises(UserError, match="val_labels has no header of an array"):
        publish("medmnist", tmp_path / "bad.npz", facts(), tmp_path / "out")


@pytest.mark.parametrize(("offset", "value"), [(8, 1), (10, 97)], ids=["encrypted", "unknown compression"])
def test_an_archive_packed_in_an_unknown_way_is_one_message(tmp_path: Path, offset: int, value: int) -> None:
    path = write_npz(tmp_path / "bad.npz", medmnist_arrays(facts()))
    content = bytearray(path.read_bytes())
    for entry in re.finditer(re.escape(b"PK\x01\x02"), bytes(content)):  # the directory at the end
        content[entry.start() + offset] = value
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        publish("medmnist", path, facts(), tmp_path / "out")


def test_negative_labels_are_refused(tmp_path: Path) -> None:
    arrays = medmnist_arrays(facts())
    arrays["train_labels"] = arrays["train_labels"].astype(np.int64) - 1
    with pytest.raises(UserError, match="label -1 of case"):
        prepared(tmp_path, facts(), arrays)


@pytest.mark.parametrize("where", [0.2, 0.6, 0.95])
def test_a_truncated_archive_is_refused(tmp_path: Path, where: float) -> None:
    path = write_npz(tmp_path / "tiny.npz", medmnist_arrays(facts()))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * where)])
    with pytest.raises(UserError, match="damaged"):
        publish("medmnist", path, facts(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_flipped_bytes_inside_an_archive_are_noticed(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "tiny.npz", medmnist_arrays(facts()))
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("train_images.npy")
    content = bytearray(path.read_bytes())
    start = member.header_offset + 200
    content[start : start + 8] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged|longer than"):
        publish("medmnist", path, facts(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("change", "message"), [(-10, "ends too early"), (10, "longer than its header")])
def test_a_member_of_another_length_than_its_header_says_is_refused(tmp_path: Path, change: int, message: str) -> None:
    path = tmp_path / "tiny.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in medmnist_arrays(facts()).items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            content = buffer.getvalue() + bytes(10)
            archive.writestr(
                f"{name}.npy", content[: len(content) - 10 + change] if name == "val_images" else content[:-10]
            )
    with pytest.raises(UserError, match=message):
        publish("medmnist", path, facts(), tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = write_npz(tmp_path / "tiny.npz", medmnist_arrays(facts()))
    with pytest.raises(UserError, match="cannot write below"):
        publish("medmnist", path, facts(), tmp_path / "file" / "out")


def test_a_full_disk_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "tiny.npz", medmnist_arrays(facts()))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("kept")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # a limit on the size of files fails as a full disk does: in the midst of a write
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
        with pytest.raises(UserError, match="cannot prepare tiny"):
            publish("medmnist", path, facts(), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(item.name for item in tmp_path.iterdir()) == ["out", "tiny.npz"]
    assert tree(tmp_path / "out").keys() == {"old"}


def test_breastmnist_is_as_published(tmp_path: Path, real_data: Path) -> None:
    about = facts(
        name="breastmnist",
        size=28,
        classes=("malignant", "normal, benign"),
        task="binary",
        splits={"train": 546, "val": 78, "test": 156},
    )
    source = next(real_data.rglob("breastmnist.npz"))
    publish("medmnist", source, about, tmp_path / "out")
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    counts = [list(card["counts"][split].values()) for split in about.splits]
    assert counts == [[147, 399], [21, 57], [42, 114]]
    with np.load(source) as archive:
        assert np.array_equal(archive["test_images"], np.load(tmp_path / "out" / "test_images.npy")[..., 0])
