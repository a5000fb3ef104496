"""Whatever a downloaded archive or an image holds: it works, or there is one message.

Nothing is written outside the folder.
"""

import bz2
import gzip
import io
import lzma
import shutil
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from factories import facts, medmnist_arrays, tree
from hypothesis import strategies as st
from mutations import NASTY, damaged
from PIL import Image
from safetensors.torch import save

from tokenmix.data import prepare_imagefolder_archive, prepare_medmnist
from tokenmix.data.decode import BrokenImage, square_pixels
from tokenmix.data.weights import read_weights
from tokenmix.errors import UserError

ABOUT = facts(splits={"train": 4, "val": 3, "test": 3})
ARRAYS = medmnist_arrays(ABOUT)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def npy(array: np.ndarray) -> bytes:
    """The bytes of a .npy file."""
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def npz(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of the members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one name twice
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


MEMBERS = {f"{name}.npy": npy(array) for name, array in ARRAYS.items()}
dtypes = st.sampled_from(
    ("|u1", "<f4", ">f8", "<i8", "|O", "|S0", "<U3", "|V7", "<c8", "|b1", "<M8[s]", "<f2", "x", "<f99")
)
shapes = st.sampled_from(
    ("(4, 8, 8)", "(4, 8, 8, 1)", "(4,)", "(4, 1)", "()", "(-4, 8, 8)", "(10**12,)", "(4, True, 8)", "'a'")
)
headers = st.one_of(
    st.builds("{{'descr': {!r}, 'fortran_order': {}, 'shape': {}, }}".format, dtypes, st.booleans(), shapes),
    st.sampled_from(
        ("", "{", "{[]: 1}", "(" * 9000, "-" * 9000 + "1", "{1: 2, 'a': 3}", "{'descr': [('a', 'O')]}", "lambda: 0")
    ),
    st.text(max_size=20),
)


@st.composite
def npy_with_any_header(draw: st.DrawFn) -> bytes:
    """A magic word and a version, a header that need not be one, some bytes."""
    version = draw(st.sampled_from(((1, 0), (2, 0), (3, 0), (9, 9))))
    header = draw(headers).encode("utf-8")
    size = draw(st.sampled_from((len(header), 0, 1, 65535)))
    length = struct.pack("<H" if version == (1, 0) else "<I", size)
    return b"\x93NUMPY" + bytes(version) + length + header + draw(st.binary(max_size=300))


def prepares(content: bytes, folder: Path) -> None:
    """Prepare an archive in an own folder, which holds all that is written."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "into").mkdir(parents=True)
    (folder / "archive.npz").write_bytes(content)
    try:
        prepare_medmnist.prepare(folder / "archive.npz", ABOUT, folder / "into")
    except UserError as error:
        assert str(error).strip()
    except OSError as error:  # `publish` adds the data set's name to what the system says
        assert str(error).strip()
    assert sorted(path.name for path in folder.iterdir()) == ["archive.npz", "into"]
    assert {path.name for path in (folder / "into").iterdir()} <= {*MEMBERS, "card.json"}


def test_medmnist_archives_of_damaged_bytes(fuzz, tmp_path):
    originals = [npz(MEMBERS, method) for method in METHODS]
    prepares(originals[0], tmp_path / "box")
    assert (tmp_path / "box" / "into" / "card.json").is_file()
    fuzz(lambda content: prepares(content, tmp_path / "box"), damaged(originals))


def test_medmnist_archives_of_any_members(fuzz, tmp_path):
    name = st.sampled_from((*MEMBERS, *MEMBERS, "train_images", "../train_images.npy", "/x.npy"))
    content = npy_with_any_header() | damaged(list(MEMBERS.values())) | st.binary(max_size=20)
    changes = st.dictionaries(name, content, min_size=1, max_size=3)

    def check(changed, method):
        prepares(npz({**MEMBERS, **changed}, method), tmp_path / "box")

    fuzz(check, changes, st.sampled_from(METHODS))


def picture(kind: str, mode: str = "RGB", **options) -> bytes:
    """A small image file."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(content, format=kind, **options)
    return content.getvalue()


PICTURES = [
    *(picture("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    picture("PNG", "P", transparency=b"\0\x80"),
    *(picture("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
    picture("JPEG", progressive=True),
    *(picture("TIFF", mode) for mode in ("1", "L", "RGB", "CMYK", "F", "I", "LAB")),
    *(picture("TIFF", compression=kind) for kind in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits")),
    *(picture("BMP", mode) for mode in ("1", "P", "RGB")),
    picture("WEBP"),
    picture("GIF"),
    picture("EPS"),
    picture("PPM"),
]


def decodes(data: bytes, channels: int) -> None:
    """Decode an image, or say why it is broken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels, _ = square_pixels(data, 8, channels)
            assert pixels.shape == (8, 8, channels) and pixels.dtype == np.uint8
        except BrokenImage as error:
            assert str(error).strip()


def test_checkpoints_of_damaged_bytes(fuzz, tmp_path):
    tensors = {"a": torch.arange(6.0), "b": torch.ones(2, 3, dtype=torch.int32)}
    originals = {".safetensors": [save(tensors)], ".pth": []}
    for as_zip in (True, False):
        content = io.BytesIO()
        torch.save(tensors, content, _use_new_zipfile_serialization=as_zip)
        originals[".pth"].append(content.getvalue())
    with zipfile.ZipFile(io.BytesIO(originals[".pth"][0])) as stored:
        originals[".pth"].append(npz({name: stored.read(name) for name in stored.namelist()}))

    def check(file):
        name, content = file
        path = tmp_path / f"weights{name}"
        path.write_bytes(content)
        try:
            found = read_weights(path)
        except UserError as error:
            assert str(path) in str(error)
        else:
            assert all(tensor.clone().numel() == tensor.numel() for tensor in found.values())
        assert list(tmp_path.iterdir()) == [path]
        path.unlink()

    fuzz(check, st.one_of(*(st.tuples(st.just(name), damaged(files)) for name, files in originals.items())))


def test_images_of_damaged_bytes(fuzz):
    fuzz(decodes, damaged(PICTURES), st.sampled_from((1, 3)))


MEMBER_TYPES = (
    tarfile.REGTYPE, tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE,
    tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b"Z",
)  # fmt: skip
PACKERS = {"": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def tar(members: list[tuple[str, bytes, str, bytes]], kind: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar archive of (name, type, target of a link, content)."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=kind) as archive:
        for name, type_, target, data in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = type_, target, len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def unpacks(content: bytes, folder: Path) -> None:
    """Unpack an archive in an own folder, which holds all that is written, and no link or device."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "inner").mkdir(parents=True)
    (folder / "outside").write_text("untouched")
    (folder / "inner" / "archive.tar").write_bytes(content)
    before = tree(folder)
    try:
        prepare_imagefolder_archive.unpack(folder / "inner" / "archive.tar", folder / "inner" / "into")
    except UserError as error:
        assert str(error).strip()
    after = tree(folder)
    assert {path: sha for path, sha in after.items() if not path.startswith("inner/into/")} == before
    assert sorted(path.name for path in folder.iterdir()) == ["inner", "outside"]
    assert not any(path.is_symlink() or not (path.is_file() or path.is_dir()) for path in folder.rglob("*"))


def test_archives_of_any_members(fuzz, tmp_path):
    usual = ("train/a/1.png", "train/a", "train", ".", "x" * 300)
    outside = ("a/../../outside", "../outside", "/outside", str(tmp_path / "box" / "outside"))
    name = st.sampled_from((*usual, *outside, *(text for text in NASTY if text and "\0" not in text)))
    target = st.sampled_from(("../../outside", "/etc/passwd", "train/a/1.png", ".", ""))
    members = st.lists(st.tuples(name, st.sampled_from(MEMBER_TYPES), target, st.binary(max_size=600)), max_size=6)
    formats = st.sampled_from((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    pack = st.sampled_from(list(PACKERS.values()))
    fuzz(lambda what, kind, packed: unpacks(packed(tar(what, kind)), tmp_path / "box"), members, formats, pack)


def test_archives_of_damaged_bytes(fuzz, tmp_path):
    plain = tar(
        [("train", tarfile.DIRTYPE, "", b""), *((f"train/a/{i}" + "é" * 60, b"0", "", b"x" * 700) for i in range(3))]
    )
    pax = tar([("train/" + "名" * 60, b"0", "", b"x" * 700)], tarfile.PAX_FORMAT)
    originals = [packed(content) for content in (plain, pax) for packed in PACKERS.values()]
    fuzz(lambda content: unpacks(content, tmp_path / "box"), damaged(originals))
