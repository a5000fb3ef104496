"""`tokenmix data` as a user types it."""

import errno
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from factories import image_folder, tree

from tokenmix import cli
from tokenmix.data import fetch
from tokenmix.study.config import Config


def test_a_phantom_is_prepared_twice_to_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data", "prepare", "phantom_tissue", "--size", "16", "--folder", str(tmp_path / "data")]
    assert cli.main(command) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder.parent == tmp_path / "data" and folder.name.startswith("phantom_tissue-16.")
    assert cli.main([*command, "--out", str(tmp_path / "again")]) == 0
    assert tree(folder) == tree(tmp_path / "again")
    assert np.load(folder / "train_images.npy", mmap_mode="r").shape == (1024, 16, 16, 1)


def test_a_folder_that_was_planned_for_other_code_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "phantom_tissue-16.00000000"
    assert cli.main(["data", "prepare", "phantom_tissue", "--size", "16", "--out", str(out)]) == 2
    assert "planned" in capsys.readouterr().err and not out.exists()


def test_a_real_data_set_comes_from_the_mirror(
    tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKENMIX_MIRRORS")
    options = ["--size", "28", "--offline", "--folder", str(tmp_path)]
    assert cli.main(["data", "fetch", "breastmnist", *options]) == 2
    message = capsys.readouterr().err
    assert "zenodo.org" in message and "750601b1f35ba3300ea97c75c52ff8f6" in message and "Traceback" not in message
    assert cli.main(["data", "prepare", "breastmnist", *options, "--mirror", str(real_data)]) == 0
    assert np.load(Path(capsys.readouterr().out.strip()) / "val_labels.npy").shape == (78,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "brestmnist", "--size", "28"], "did you mean `breastmnist`?"),
        (
            ["prepare", "breastmnist", "--size", "32"],
            "not offered at 32 pixels; choose one of 28, 64, 128, 224",
        ),
        (["prepare", "phantom_organs", "--size", "8"], "choose 16 pixels or more"),
        (["prepare", "phantom_organs", "--size", "0"], "--size is 0; give a number of pixels from 8 to 2048"),
        (["fetch", "breastmnist", "--size", "-3"], "--size is -3; give"),
        (["register", "nowhere", "--size", "2049"], "--size is 2049; give"),
        (["fetch", "phantom_organs", "--size", "28"], "has no file to fetch"),
        (["register", "nowhere"], "is no folder"),
    ],
)
def test_mistakes_are_one_message(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", *arguments, "--folder", str(tmp_path / "data")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ")
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").rglob("*.npy"))


@pytest.mark.parametrize("size", ["0", "-3"])
def test_an_own_folder_is_not_prepared_at_a_size_that_is_none(tmp_path: Path, size: str, capsys) -> None:
    image_folder(tmp_path / "own", {"train": 2, "val": 1, "test": 1})
    options = ["--folder", str(tmp_path / "data")]
    assert cli.main(["data", "register", str(tmp_path / "own"), *options]) == 0
    assert cli.main(["data", "prepare", "own", "--size", size, *options]) == 2
    assert capsys.readouterr().err == f"error: --size is {size}; give a number of pixels from 8 to 2048\n"


@pytest.mark.parametrize("unreadable", ["train/cat/001.png", "val"])
def test_what_may_not_be_read_is_named_when_registering(
    tmp_path: Path, unreadable: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = image_folder(tmp_path / "own", {"train": 2, "val": 1, "test": 1}) / unreadable

    def guard(name: str) -> None:  # permissions do not bind root
        method = getattr(Path, name)

        def guarded(path: Path) -> Any:
            if path == refused:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return method(path)

        monkeypatch.setattr(Path, name, guarded)

    guard("read_bytes")
    guard("iterdir")
    assert cli.main(["data", "register", str(tmp_path / "own"), "--folder", str(tmp_path / "data")]) == 2
    message = f"error: {refused} cannot be read: Permission denied; make it readable, or remove it\n"
    assert capsys.readouterr().err == message
    assert not (tmp_path / "data").exists()


def test_an_archive_that_may_not_be_read_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    assert cli.main(["data", "fetch", "breastmnist", "--size", "28", "--folder", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: cannot use {tmp_path}/downloads/breastmnist.npz: Permission denied; make it read")


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("yes", True), ("0", False), ("False", False), ("", False)]
)
def test_a_variable_switches_the_network_off(
    value: str, offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setenv("TOKENMIX_OFFLINE", value)
    monkeypatch.setattr(fetch, "fetch", lambda *arguments: asked.append(arguments[-1]))
    assert cli.main(["data", "fetch", "breastmnist", "--size", "28", "--folder", str(tmp_path)]) == 0
    assert asked == [offline]


def test_registering_prints_lines_that_the_config_understands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image_folder(tmp_path / "skin", {"train": 10, "val": 4})
    options = ["--folder", str(tmp_path / "data")]
    assert cli.main(["data", "register", str(tmp_path / "skin"), "--size", "32", *options]) == 0
    lines = yaml.safe_load(capsys.readouterr().out)
    assert Config.model_validate(lines).datasets["skin"].size == 32
    assert cli.main(["data", "prepare", "skin", "--size", "32", *options]) == 0
    assert Path(capsys.readouterr().out.strip()).name.startswith("skin-32.")


def test_fetching_and_describing_data_loads_no_torch() -> None:
    import subprocess

    code = "import sys; from tokenmix.data import command, fetch, publish, register;"
    code += "assert not {'torch', 'medmnist', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
