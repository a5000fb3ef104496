"""Preparing a data set holds no more memory than its arrays plus 200 MB, whatever it comes from."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from factories import image_folder

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")

ALLOWED_KB = 200 * 1024


def peak_kb(prepare: str, *arguments: Path) -> int:
    """Peak of memory (KiB) of a Python process that does nothing but prepare."""
    script = (
        "import sys; from pathlib import Path; from factories import facts;"
        "from tokenmix.data.publish import publish;"
        f"{prepare};"
        # the peak since the program started; getrusage would also count the parent's memory
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    path = [str(Path(__file__).parents[2]), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def shape(out: Path) -> tuple[int, ...]:
    return np.load(out / "train_images.npy", mmap_mode="r").shape


def test_an_archive_needs_no_memory_of_its_size(tmp_path: Path, real_data: Path) -> None:
    source = next(real_data.rglob("adrenalmnist3d_64.npz"))
    prepare = (
        "about = facts(size=64, dimensions=3, classes=('a', 'b'), task='binary',"
        " splits={'train': 1188, 'val': 98, 'test': 298});"
        "publish('medmnist', Path(sys.argv[1]), about, Path(sys.argv[2]))"
    )
    # the arrays have 396 MiB; interpreter and blocks together stay below 200 MiB without them
    assert peak_kb(prepare, source, tmp_path / "out") < ALLOWED_KB
    assert shape(tmp_path / "out") == (1188, 64, 64, 64, 1)


def test_a_folder_of_images_needs_no_memory_of_its_size(tmp_path: Path) -> None:
    source = image_folder(tmp_path / "images", {"train": 150, "val": 2, "test": 2})
    prepare = (
        "about = facts(size=512, classes=('cat', 'dog'), task='binary', channels=3,"
        " splits={'train': 300, 'val': 4, 'test': 4});"
        "publish('folder', Path(sys.argv[1]), about, Path(sys.argv[2]))"
    )
    # 225 MiB of pixels
    assert peak_kb(prepare, source, tmp_path / "out") < ALLOWED_KB
    assert shape(tmp_path / "out") == (300, 512, 512, 3)


@pytest.mark.parametrize(("family", "channels"), [("phantom_tissue", 1), ("phantom_organs", 3)])
def test_large_phantoms_are_computed_in_small_parts(tmp_path: Path, family: str, channels: int) -> None:
    prepare = (
        f"about = facts(name='{family}', size=224, classes=tuple('abcd'), channels={channels}, phantom=True,"
        " splits={'train': 160, 'val': 4, 'test': 4});"
        "publish('phantom', None, about, Path(sys.argv[1]))"
    )
    arrays_kb = 168 * 224 * 224 * channels // 1024
    assert peak_kb(prepare, tmp_path / "out") < arrays_kb + ALLOWED_KB
    assert shape(tmp_path / "out") == (160, 224, 224, channels)
