"""`tokenmix data` as a user types it."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from factories import image_folder, tree

from tokenmix import cli
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
        (["prepare", "phantom_organs", "--size", "4"], "choose 16 pixels or more"),
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
