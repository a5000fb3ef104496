"""Folders of images and archives of them: layout, carving, padding, broken images, paths that escape."""

import bz2
import dataclasses
import gzip
import io
import json
import lzma
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from factories import facts, image_folder, tree
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tokenmix.data import decode, prepare_imagefolder_archive
from tokenmix.data.card import Facts
from tokenmix.data.folder import carve_mask
from tokenmix.data.prepare_imagefolder_archive import unpack
from tokenmix.data.publish import publish
from tokenmix.data.register import register
from tokenmix.errors import UserError
from tokenmix.study.manifest import load_manifest

CARVE = {"fraction": 0.2, "seed": 0}


def about(**changes: object) -> Facts:
    standard = {
        "size": 16,
        "channels": 3,
        "classes": ("cat", "dog"),
        "task": "binary",
        "splits": {"train": 16, "val": 4, "test": 6},
        "carve": CARVE,
    }
    return facts(**(standard | changes))


def card_of(folder: Path) -> dict:
    return json.loads((folder / "card.json").read_text())


def test_without_test_folder_val_is_the_test_split_and_val_is_carved_by_class(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    publish("folder", root, about(), tmp_path / "out")
    card = card_of(tmp_path / "out")
    assert card["n"] == {"train": 16, "val": 4, "test": 6}
    assert card["counts"]["val"] == {"cat": 2, "dog": 2}
    assert card["carved"] == {**CARVE, "from": "train", "test": "val"}
    train = np.load(tmp_path / "out" / "train_images.npy") / 255
    assert card["mean"] == pytest.approx(train.mean(axis=(0, 1, 2)), abs=1e-12)
    first = np.load(tmp_path / "out" / "test_images.npy")[0]
    assert np.array_equal(first, decode.square_pixels((root / "val/cat/000.png").read_bytes(), 16, 3)[0])


def test_a_test_folder_is_used_as_it_is(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images", {"train": 5, "val": 2, "test": 4})
    publish("folder", root, about(splits={"train": 10, "val": 4, "test": 8}, carve=None), tmp_path / "out")
    card = card_of(tmp_path / "out")
    assert card["carved"] is None and card["n"] == {"train": 10, "val": 4, "test": 8}
    assert np.load(tmp_path / "out" / "test_labels.npy").tolist() == [0] * 4 + [1] * 4


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    publish("folder", root, about(), tmp_path / "a")
    publish("folder", root, about(), tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


@given(
    sizes=st.lists(st.integers(2, 40), min_size=2, max_size=6),
    fraction=st.floats(0.02, 0.9),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=60)
def test_carving_is_repeatable_stratified_and_leaves_every_class_on_both_sides(
    sizes: list[int], fraction: float, seed: int
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    mask = carve_mask(labels, fraction, seed)
    assert np.array_equal(mask, carve_mask(labels, fraction, seed))
    for number, size in enumerate(sizes):
        taken = int(mask[labels == number].sum())
        assert 1 <= taken <= size - 1
        assert abs(taken - fraction * size) <= 1 + 1e-9


def test_a_class_with_too_few_images_to_carve_is_named_and_nothing_is_registered(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images", {"train": 4, "val": 2})
    for name in ("gnu", "yak"):
        image_folder(tmp_path / "images", {"train": 1, "val": 2}, [name])
    with pytest.raises(UserError, match=r"single training image of gnu, yak in .*images/train.* add images"):
        register(root, "animals", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_carving_takes_the_stated_share_and_depends_on_the_seed() -> None:
    labels = np.repeat(np.arange(10), [905, 903, 900, 901, 899, 902, 910, 905, 900, 900])
    assert carve_mask(labels, 0.1, 0).sum() == round(0.1 * len(labels))
    assert not np.array_equal(carve_mask(labels, 0.1, 0), carve_mask(labels, 0.1, 1))


@pytest.mark.parametrize("shape", [(40, 20), (20, 40), (21, 20)])
def test_images_are_padded_to_a_square_with_zeros_before_resizing(shape: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    pixels = np.full((*shape, 3), 200, dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, format="PNG")
    square, grey = decode.square_pixels(buffer.getvalue(), 10, 3)
    side = max(shape)
    expected = np.zeros((side, side, 3), dtype=np.uint8)
    top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
    expected[top : top + shape[0], left : left + shape[1]] = 200
    resized = Image.fromarray(expected).resize((10, 10), Image.Resampling.BILINEAR)
    assert np.array_equal(square, np.asarray(resized)) and not grey
    assert square[5, 5, 0] == 200


@pytest.mark.parametrize("shape", [(40, 20), (20, 40), (21, 20)])
def test_the_published_padding_distorts_as_torch_pads_with_torchvisions_amounts(shape: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    ours, _ = decode.square_pixels(png(Image.fromarray(pixels)), 10, 1, "width")
    # for torchvision two amounts are width and height, for torch they are left and right
    side = max(shape)
    amounts = ((side - shape[1]) // 2, (side - shape[0]) // 2)
    x = torch.nn.functional.pad(torch.from_numpy(pixels)[None, None].double(), amounts)
    peer = torch.nn.functional.interpolate(x, size=(10, 10), mode="bilinear", antialias=True)
    assert np.abs(ours[..., 0] - peer[0, 0].numpy()).max() <= 1


def test_resizing_equals_torchs_antialiased_bilinear() -> None:
    torch = pytest.importorskip("torch")
    pixels = np.random.default_rng(0).integers(0, 256, (61, 61), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    ours, grey = decode.square_pixels(buffer.getvalue(), 17, 1)
    x = torch.from_numpy(pixels)[None, None].double()
    peer = torch.nn.functional.interpolate(x, size=(17, 17), mode="bilinear", antialias=True)
    assert grey and np.abs(ours[..., 0] - peer[0, 0].numpy()).max() <= 1


def png(image: Image.Image, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format)
    return buffer.getvalue()


def test_every_common_kind_of_picture_is_understood() -> None:
    red = Image.new("RGB", (8, 8), (200, 0, 0))
    half = np.zeros((8, 8, 4), dtype=np.uint8)
    half[:4] = (200, 0, 0, 255)
    half[4:] = (250, 250, 250, 0)  # hidden below full transparency
    see_through = decode.square_pixels(png(Image.fromarray(half, "RGBA")), 8, 3)[0]
    assert see_through[0, 0].tolist() == [200, 0, 0] and see_through[7, 7].tolist() == [0, 0, 0]
    for same in (red.quantize(4), red.convert("RGBA")):
        assert decode.square_pixels(png(same), 8, 3)[0][0, 0].tolist() == [200, 0, 0]
    assert decode.square_pixels(png(red.convert("CMYK"), "TIFF"), 8, 3)[0].shape == (8, 8, 3)
    deep = Image.fromarray(np.full((8, 8), 200 * 256 + 17, dtype=np.uint16))
    pixels, grey = decode.square_pixels(png(deep), 8, 1)
    assert grey and pixels[0, 0, 0] == 200
    unit = Image.fromarray(np.full((8, 8), 0.5, dtype=np.float32))
    assert decode.square_pixels(png(unit, "TIFF"), 8, 3)[0][0, 0].tolist() == [128, 128, 128]


def test_formats_that_start_other_programs_are_not_opened() -> None:
    # Pillow hands EPS to Ghostscript, whatever the file is called
    with pytest.raises(decode.BrokenImage, match="not an image that can be read"):
        decode.square_pixels(png(Image.new("RGB", (8, 8)), "EPS"), 8, 3)


@pytest.mark.parametrize("size", [(60_000, 1), (1, 20_001)])
def test_a_narrow_picture_is_not_padded_to_gigabytes(size: tuple[int, int]) -> None:
    with pytest.raises(decode.BrokenImage, match="too large"):
        decode.square_pixels(png(Image.new("L", size)), 8, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, 7.0])
def test_floating_point_pictures_without_meaning_are_refused(value: float) -> None:
    pixels = np.zeros((8, 8), dtype=np.float32)
    pixels[3, 3] = value
    with pytest.raises(decode.BrokenImage, match=r"NaN|scale them"):
        decode.square_pixels(png(Image.fromarray(pixels), "TIFF"), 8, 1)


def test_grey_among_colour_is_converted_and_said_in_the_card(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    Image.new("L", (9, 9), 77).save(root / "val/cat/000.png")
    publish("folder", root, about(), tmp_path / "out")
    assert card_of(tmp_path / "out")["notes"] == ["1 of 26 images are grey and were converted to colour"]
    assert np.load(tmp_path / "out" / "test_images.npy")[0, 8, 8].tolist() == [77, 77, 77]


def test_broken_images_are_all_named_and_nothing_is_left(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    photo = png(Image.fromarray(noise), "JPEG")
    (root / "train/cat/a.jpg").write_bytes(photo[: len(photo) // 2])
    (root / "val/dog/b.png").write_bytes(b"no picture")
    (root / "train/cat/000.png").unlink()
    (root / "val/dog/000.png").unlink()
    with pytest.raises(UserError) as problem:
        publish("folder", root, about(), tmp_path / "out")
    text = str(problem.value)
    assert "2 broken image(s)" in text and "train/cat/a.jpg: cannot be decoded" in text
    assert "val/dog/b.png: not an image" in text
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_empty_and_missing_classes_are_all_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    (root / "train/bird").mkdir()
    with pytest.raises(UserError, match="no images in train/bird, val/bird of"):
        register(root, None, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_folder_without_the_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images" / "cat").mkdir(parents=True)
    with pytest.raises(UserError, match="no folder train/"):
        register(tmp_path / "images", None, tmp_path / "data")


# --- registering ----------------------------------------------------------------------------------------


def facts_of(name: str, data: Path) -> Facts:
    entry = load_manifest(data)[name]
    return about(
        classes=tuple(entry.classes),
        channels=entry.channels,
        splits=entry.splits.model_dump(),
        carve=entry.carve.model_dump() if entry.carve else None,
        source={"path": entry.path, "sha256": entry.sha256},
    )


def test_a_registered_folder_is_a_data_set(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "My Images 2", {"train": 20, "val": 3}, mode="L")
    name, _ = register(root, None, tmp_path / "data")
    entry = load_manifest(tmp_path / "data")[name]
    assert name == "my_images_2" and entry.kind == "folder" and entry.path == str(root)
    assert (entry.task, entry.channels, entry.classes) == ("binary", 1, ["cat", "dog"])
    assert entry.splits.model_dump() == {"train": 36, "val": 4, "test": 6}
    publish("folder", root, facts_of(name, tmp_path / "data"), tmp_path / "out")
    assert card_of(tmp_path / "out")["n"] == entry.splits.model_dump()


def _grow(root: Path) -> None:
    Image.new("RGB", (9, 9)).save(root / "train/cat/more.png")


def _alter(root: Path) -> None:
    Image.new("RGB", (9, 9)).save(root / "train/cat/000.png")


def _rename(root: Path) -> None:
    (root / "train/cat/000.png").rename(root / "train/cat/000b.png")  # the order stays


@pytest.mark.parametrize("change", [_grow, _alter, _rename])
def test_a_folder_that_changed_is_not_what_was_registered(tmp_path: Path, change: Callable[[Path], None]) -> None:
    root = image_folder(tmp_path / "images")
    before = register(root, None, tmp_path / "data")[1].read_text()
    known = facts_of("images", tmp_path / "data")
    change(root)
    with pytest.raises(UserError, match=r"register (the folder|it) again"):
        publish("folder", root, known, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert register(root, None, tmp_path / "data")[1].read_text() != before


def test_the_same_images_elsewhere_have_the_same_checksum(tmp_path: Path) -> None:
    roots = [image_folder(tmp_path / place / "x") for place in ("a", "b")]
    paths = [register(root, None, root.parent)[1] for root in roots]
    assert len({yaml.safe_load(path.read_text())["sha256"] for path in paths}) == 1


def test_names_in_use_or_unfit_are_refused(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    other = image_folder(tmp_path / "others", seed=1)
    register(root, "mine", tmp_path / "data")
    register(root, "mine", tmp_path / "data")
    with pytest.raises(UserError, match="the name mine stands for"):
        register(other, "mine", tmp_path / "data")
    with pytest.raises(UserError, match="belongs to BreastMNIST"):
        register(root, "breastmnist", tmp_path / "data")
    with pytest.raises(UserError, match="cannot name a data set"):
        register(root, "../mine", tmp_path / "data")


def test_classes_that_look_like_numbers_stay_words(tmp_path: Path) -> None:
    names = ("07", "08", "1e3", "null", "true", "~")
    root = image_folder(tmp_path / "odd", {"train": 2, "val": 1, "test": 1}, names)
    name, _ = register(root, None, tmp_path / "data")
    assert load_manifest(tmp_path / "data")[name].classes == sorted(names)
    assert "- cat\n" in register(image_folder(tmp_path / "even"), None, tmp_path / "data")[1].read_text()


def test_files_whose_names_are_no_utf8_are_read(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "odd", {"train": 2, "val": 1, "test": 1})
    image = root / "train" / "cat" / "000.png"
    image.rename(image.with_name(b"\xff.png".decode("utf-8", "surrogateescape")))
    name, _ = register(root, None, tmp_path / "data")
    publish("folder", root, facts_of(name, tmp_path / "data"), tmp_path / "out")
    assert card_of(tmp_path / "out")["n"]["train"] > 0


def test_a_broken_image_is_named_when_registering(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    (root / "train/cat/x.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=re.escape("train/cat/x.png: not an image")):
        register(root, None, tmp_path / "data")


# --- archives -------------------------------------------------------------------------------------------


def archive(path: Path, root: Path) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        tar.add(root, arcname="dogs-320")
    return path


def test_an_archive_is_prepared_like_its_folder(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    publish("imagefolder_archive", archive(tmp_path / "a.tgz", root), about(), tmp_path / "out")
    publish("folder", root, about(), tmp_path / "direct")
    assert tree(tmp_path / "out") == tree(tmp_path / "direct")


def test_an_archive_can_be_padded_as_published_and_its_card_says_so(tmp_path: Path) -> None:
    packed = archive(tmp_path / "a.tgz", image_folder(tmp_path / "images"))  # images of 20 x 14
    facts = about()
    publish("imagefolder_archive", packed, facts, tmp_path / "square")
    distorted = dataclasses.replace(facts, source={**facts.source, "padding": "width"})
    publish("imagefolder_archive", packed, distorted, tmp_path / "width")
    square, width = (np.load(tmp_path / name / "train_images.npy") for name in ("square", "width"))
    # 3 columns of zeros on either side, or on the left alone
    assert square.shape == width.shape and not square[:, :, -1].any() and width[:, :, -1].any()
    assert json.loads((tmp_path / "width/card.json").read_text())["source"]["padding"] == "width"


def test_a_truncated_archive_of_images_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", image_folder(tmp_path / "images"))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match="damaged"):
        publish("imagefolder_archive", path, about(), tmp_path / "out")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.tgz", "images"]


@pytest.mark.parametrize("length", [1, 3, 5, 12])
def test_an_archive_that_ends_in_its_header_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "images.tgz"
    path.write_bytes(gzip.compress(b"x" * 100)[:length])
    with pytest.raises(UserError, match="is damaged"):
        unpack(path, tmp_path / "into")


def test_an_incomplete_archive_is_refused_with_both_counts(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tgz", image_folder(tmp_path / "images", {"train": 9, "val": 3}))
    with pytest.raises(UserError, match=r"14 / 4 / 6 images in .*a\.tgz.* has 16 / 4 / 6"):
        publish("imagefolder_archive", path, about(), tmp_path / "out")


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 3 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("../out.txt"),
        member("a/../../out.txt"),
        member("/tmp/out.txt"),
        member("a\\..\\out.txt"),
        member("a/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("a/hard", tarfile.LNKTYPE, "good.txt"),
        member("a/device", tarfile.CHRTYPE),
        member("a/pipe", tarfile.FIFOTYPE),
        member("good.txt"),  # a second time
        member("good.txt/inside"),
    ],
    ids=lambda info: info.name.replace("/", "_") if isinstance(info, tarfile.TarInfo) else None,
)
def test_archives_stay_in_their_folder_and_hold_plain_files(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(member("good.txt"), io.BytesIO(b"abc"))
        tar.addfile(bad, io.BytesIO(b"abc"))
    with pytest.raises(UserError, match=r"leads out of|link or a device|damaged"):
        unpack(path, tmp_path / "into")
    assert set(tree(tmp_path)) == {"a.tar", "into/good.txt"}
    with pytest.raises(UserError):
        publish("imagefolder_archive", path, about(), tmp_path / "out")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.tar", "into"]


def test_an_archive_cannot_announce_a_header_of_any_size(tmp_path: Path) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    with gzip.open(tmp_path / "bad.tar.gz", "wb") as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(64):
            file.write(bytes(1 << 20))
    with pytest.raises(UserError, match="a header of 1073741824 bytes"):
        unpack(tmp_path / "bad.tar.gz", tmp_path / "out")


def test_an_archive_of_bytes_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_imagefolder_archive, "MAXIMUM_BYTES", 1 << 20)
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as tar:
        for number in range(3):
            file = member(f"train/{number}")
            file.size = 1 << 19
            tar.addfile(file, io.BytesIO(bytes(file.size)))
    with pytest.raises(UserError, match="unpacks to more than"):
        unpack(tmp_path / "bad.tar.gz", tmp_path / "out")
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file()) <= 1 << 20


def test_an_archive_of_folders_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_imagefolder_archive, "MAXIMUM_MEMBERS", 5)
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        for number in range(9):
            tar.addfile(member(f"train/{number}", tarfile.DIRTYPE))
    with pytest.raises(UserError, match="or 5 files"):
        unpack(tmp_path / "bad.tar", tmp_path / "out")


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_a_packed_archive_that_is_damaged_is_refused(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    root = image_folder(tmp_path / "pets")
    with tarfile.open(tmp_path / "whole.tar", "w") as tar:
        tar.add(root, "pets")
    content = bytearray(pack((tmp_path / "whole.tar").read_bytes()))
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(byte ^ 255 for byte in content[middle : middle + 64])
    (tmp_path / "bad.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.tar is damaged"):
        unpack(tmp_path / "bad.tar", tmp_path / "out")


def test_imagewoof_subset_is_padded_as_meant(tmp_path: Path, real_data: Path) -> None:
    source = real_data / "imagewoof" / "imagewoof2-320-subset"
    name, _ = register(source, "woof", tmp_path / "data")
    entry = load_manifest(tmp_path / "data")[name]
    assert entry.splits.model_dump() == {"train": 900, "val": 100, "test": 500} and entry.channels == 3
    known = about(
        size=32,
        task="multi-class",
        classes=tuple(entry.classes),
        splits=entry.splits.model_dump(),
        carve=entry.carve.model_dump(),
        source={"sha256": entry.sha256},
    )
    publish("folder", source, known, tmp_path / "out")
    card = card_of(tmp_path / "out")
    assert card["notes"] == ["14 of 1500 images are grey and were converted to colour"]
    assert set(card["counts"]["val"].values()) == {10}
    # the study's own figures for the whole set at 224 pixels, padded: 0.3677 0.3448 0.2981
    assert card["mean"] == pytest.approx([0.3677, 0.3448, 0.2981], abs=0.01)
