"""Published weights: fetched, verified, converted; and what is refused."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
import torch
from factories import serve
from safetensors.torch import load_file

from tokenmix.cli import main
from tokenmix.data.weights import prepare_weights
from tokenmix.errors import UserError
from tokenmix.models.weights_start import LAYOUTS
from tokenmix.study.checkpoints import Checkpoint, load_checkpoints

TENSORS = {"a": torch.randn(3, 4).T, "b": torch.arange(3)}


def entry(url: str = "http://127.0.0.1:9/weights.pth", sha256: str = "") -> Checkpoint:
    return Checkpoint(title="Weights", url=url, file="weights.pth", sha256=sha256, licence="MIT", cite="")


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror folder that has the published file."""
    (tmp_path / "mirror").mkdir()
    torch.save(TENSORS, tmp_path / "mirror/weights.pth")
    return tmp_path / "mirror"


def prepared(root: Path, about: Checkpoint, *mirrors: Path) -> Path:
    return prepare_weights("mine", about, root / "weights", root / "downloads", mirrors, offline=True)


def test_a_checkpoint_keeps_its_tensors_and_gets_a_card(tmp_path: Path, mirror: Path) -> None:
    checksum = hashlib.sha256((mirror / "weights.pth").read_bytes()).hexdigest()
    out = prepared(tmp_path, entry(sha256=checksum[:8]), mirror)
    assert all(torch.equal(value, TENSORS[name]) for name, value in load_file(out).items())
    card = json.loads(out.with_suffix(".json").read_text())
    assert (card["name"], card["sha256"], card["licence"]) == ("mine", checksum, "MIT")
    assert card["converted_sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()


def test_it_is_downloaded_where_no_mirror_has_it(tmp_path: Path, mirror: Path) -> None:
    content = (mirror / "weights.pth").read_bytes()
    with serve(content) as server:
        about = entry(server.url, hashlib.sha256(content).hexdigest())
        out = prepare_weights("mine", about, tmp_path / "weights", tmp_path / "downloads")
    assert load_file(out).keys() == TENSORS.keys()


def test_a_wrong_checksum_is_refused_with_address_and_place(tmp_path: Path, mirror: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)TOKENMIX_MIRRORS.*127\.0\.0\.1.*SHA-256 0000abcd.*another checksum"):
        prepared(tmp_path, entry(sha256="0000abcd"), mirror)
    assert not (tmp_path / "weights").exists()


def test_where_no_checksum_is_published_the_first_file_is_the_right_one(tmp_path: Path, mirror: Path) -> None:
    out = prepared(tmp_path, entry(), mirror)
    first = out.read_bytes()
    torch.save({"a": torch.zeros(2)}, mirror / "weights.pth")
    with pytest.raises(UserError, match="another checksum"):
        prepared(tmp_path, entry(), mirror)
    assert out.read_bytes() == first


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, mirror: Path) -> None:
    class Mischief:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"a": Mischief()}, mirror / "weights.pth")
    with pytest.raises(UserError, match="code in checkpoints is never run"):
        prepared(tmp_path, entry(), mirror)
    assert not (tmp_path / "ran").exists() and not (tmp_path / "weights").exists()


def test_a_small_file_that_would_unpack_to_more_than_its_size_is_refused(tmp_path: Path, mirror: Path) -> None:
    torch.save({"a": torch.zeros(1 << 20)}, mirror / "stored.pth")
    with zipfile.ZipFile(mirror / "stored.pth") as stored:
        members = {name: stored.read(name) for name in stored.namelist()}
    with zipfile.ZipFile(mirror / "weights.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    assert torch.load(mirror / "weights.pth", weights_only=True)["a"].numel() == 1 << 20  # PyTorch itself unpacks it
    with pytest.raises(UserError, match=r"weights\.pth: is no checkpoint of tensors alone, or is damaged") as refused:
        prepared(tmp_path, entry(), mirror)
    assert "more than its size" in str(refused.value.__cause__)
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_checkpoint_that_asks_for_memory_is_refused(tmp_path: Path, mirror: Path, as_zip: bool) -> None:
    class Hungry:
        def __reduce__(self) -> tuple[object, ...]:
            return (bytearray, (1 << 20,))

    torch.save({"a": Hungry()}, mirror / "weights.pth", _use_new_zipfile_serialization=as_zip)
    assert len(torch.load(mirror / "weights.pth", weights_only=True)["a"]) == 1 << 20  # PyTorch allows it
    with pytest.raises(UserError, match="is no checkpoint of tensors alone") as refused:
        prepared(tmp_path, entry(), mirror)
    assert "bytearray" in str(refused.value.__cause__)


@pytest.mark.parametrize("as_zip", [True, False])
def test_tied_weights_are_kept_twice_and_sparse_ones_refused(tmp_path: Path, mirror: Path, as_zip: bool) -> None:
    tied = {"a": torch.ones(3), "b": torch.ones(3)}
    tied["b"] = tied["a"]
    torch.save(tied, mirror / "weights.pth", _use_new_zipfile_serialization=as_zip)
    assert load_file(prepared(tmp_path / "tied", entry(), mirror)).keys() == {"a", "b"}
    torch.save({"a": torch.eye(3).to_sparse()}, mirror / "weights.pth", _use_new_zipfile_serialization=as_zip)
    with pytest.raises(UserError, match="no plain state dict"):
        prepared(tmp_path / "sparse", entry(), mirror)


def test_a_number_that_is_repeated_without_end_is_refused(tmp_path: Path, mirror: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(1 << 40)}, mirror / "weights.pth")
    with pytest.raises(UserError, match="its tensors would take 4398046511104 bytes"):
        prepared(tmp_path, entry(), mirror)
    assert not (tmp_path / "weights").exists()


def test_the_command_names_unknown_checkpoints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "weights", "resnet1"]) != 0
    assert "did you mean `resnet18`" in capsys.readouterr().err


def test_every_model_that_can_start_from_weights_has_an_entry() -> None:
    assert load_checkpoints().keys() == LAYOUTS.keys()
