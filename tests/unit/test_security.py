"""Nothing in the source runs code or commands that a file or a name could bring along; and no file does."""

import ast
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from factories import facts, medmnist_arrays

from tokenmix.data import prepare_medmnist
from tokenmix.data.batches import open_prepared
from tokenmix.errors import UserError
from tokenmix.evaluation.predictions import read_predictions
from tokenmix.study.manifest import load_manifest
from tokenmix.training.state import MAGIC, StateSlots, _digest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")])

#: modules whose files are programs
UNSAFE_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
#: calls that run code, a shell, or unpack wherever an archive wants; by their last names
UNSAFE_CALLS = {
    "eval", "exec", "__import__", "system", "popen", "getoutput", "getstatusoutput", "execv", "execve", "execvp",
    "spawnv", "spawnl", "create_subprocess_shell", "extractall", "unpack_archive", "read_pickle", "mktemp",
    "unsafe_load", "full_load",
}  # fmt: skip
#: reading functions -> the argument that makes them safe
GUARDED = {
    ("np", "load"): ("allow_pickle", False),
    ("numpy", "load"): ("allow_pickle", False),
    ("format", "read_array"): ("allow_pickle", False),
    ("torch", "load"): ("weights_only", True),
}
#: `yaml.load` needs a loader, and any but the safe ones makes objects: only compose, parse and safe_load are used
UNSAFE_YAML = {"load", "load_all"}


def unsafe(source: str) -> Iterator[str]:
    """What a source text does that none may do."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"imports {name}" for name in module if name.split(".")[0] in UNSAFE_MODULES)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        owner, _, name = called.rpartition(".")
        owner = owner.rpartition(".")[2]
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        # a module is put into its evaluation mode by `.eval()`: that one takes nothing
        if name in UNSAFE_CALLS and not (name == "eval" and owner and not node.args):
            yield f"calls {called}"
        if owner == "yaml" and name in UNSAFE_YAML:
            yield f"calls {called}"
        if (owner, name) in GUARDED:
            argument, value = GUARDED[owner, name]
            if given.get(argument) != str(value):
                yield f"calls {called} without {argument}={value}"
        if given.get("shell", "False") != "False" or given.get("allow_pickle", "False") != "False":
            yield f"calls {called} with shell or allow_pickle"
        if given.get("verify", "True") != "True":
            yield f"calls {called} without checking certificates"
        if owner == "subprocess" and node.args and isinstance(node.args[0], ast.Constant | ast.JoinedStr):
            yield f"calls {called} with one text for a command"


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from cloudpickle import loads",
        "np.load(p)",
        "np.load(p, allow_pickle=True)",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.lib.format.read_array(f)",
        "yaml.load(t, Loader=yaml.Loader)",
        "yaml.unsafe_load(t)",
        "eval(t)",
        "exec(t)",
        "os.system(t)",
        "subprocess.run(c, shell=True)",
        "subprocess.run(f'x {y}')",
        "tar.extractall(p)",
        "pd.read_pickle(p)",
        "session.get(u, verify=False)",
    ],
)
def test_the_search_finds_what_it_looks_for(line: str) -> None:
    assert list(unsafe(line))


@pytest.mark.parametrize("line", ["model.eval()", "np.load(p, allow_pickle=False)", "torch.load(p, weights_only=True)"])
def test_the_search_lets_pass_what_is_safe(line: str) -> None:
    assert not list(unsafe(line))


def test_no_source_runs_code_from_a_file_or_a_text_in_a_shell() -> None:
    assert len(SOURCES) > 90
    assert not [f"{path.relative_to(ROOT)}: {what}" for path in SOURCES for what in unsafe(path.read_text())]


# --- files that would run a command, if they were read carelessly ----------------------------------------


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.canary),)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def objects(canary: Path) -> np.ndarray:
    array = np.empty(4, dtype=object)
    array[:] = [Bomb(canary)] * 4
    return array


def test_the_bomb_goes_off_where_pickles_are_loaded(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, objects(tmp_path / "bang"), allow_pickle=True)
    content.seek(0)
    np.load(content, allow_pickle=True)
    assert (tmp_path / "bang").is_dir()


@pytest.mark.parametrize("member", ["train_images", "train_labels", "test_labels"])
def test_an_archive_with_python_objects_is_refused_unread(tmp_path: Path, canary: Path, member: str) -> None:
    about = facts()
    np.savez(tmp_path / "a.npz", **{**medmnist_arrays(about), member: objects(canary)})
    (tmp_path / "into").mkdir()
    with pytest.raises(UserError, match="holds Python objects"):
        prepare_medmnist.prepare(tmp_path / "a.npz", about, tmp_path / "into")


def test_predictions_with_python_objects_are_refused_unread(tmp_path: Path, canary: Path) -> None:
    path = tmp_path / "predictions.npz"
    np.savez(path, test_scores=objects(canary), test_labels=np.zeros(4, np.int64))
    attested = {"outputs": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}}
    with pytest.raises(UserError, match="cannot be read"):
        read_predictions(path, attested)


def test_a_pickle_in_place_of_prepared_arrays_is_refused_unread(tmp_path: Path, canary: Path) -> None:
    (tmp_path / "card.json").write_text("{}")
    np.save(tmp_path / "train_images.npy", objects(canary), allow_pickle=True)
    with pytest.raises(UserError, match="cannot be read"):
        open_prepared(tmp_path)


def test_a_state_with_python_objects_is_passed_over(tmp_path: Path, canary: Path, capsys) -> None:
    content = io.BytesIO()
    torch.save({"weights": Bomb(canary)}, content)
    number, payload = (1).to_bytes(8, "big"), content.getvalue()
    (tmp_path / "state.0").write_bytes(MAGIC + number + _digest(number, memoryview(payload)) + payload)
    assert StateSlots(tmp_path).load() is None
    assert "is damaged (UnpicklingError)" in capsys.readouterr().err


def test_the_older_state_is_used_where_the_newer_cannot_be_read(tmp_path: Path, capsys) -> None:
    slots = StateSlots(tmp_path)
    slots.save({"step": 1})
    slots.save({"step": 2})
    number, payload = (9).to_bytes(8, "big"), b"PK no archive"
    slots.paths[1].write_bytes(MAGIC + number + _digest(number, memoryview(payload)) + payload)
    state = StateSlots(tmp_path).load()
    assert state is not None and state["step"] in (1, 2)
    assert "state.1 is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir"])
def test_yaml_makes_no_objects(tmp_path: Path, canary: Path, tag: str) -> None:
    text = f"title: {tag} ['{canary}']\n"
    (tmp_path / "registered").mkdir()
    (tmp_path / "registered" / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match="tags are not used here"):
        load_manifest(tmp_path)
    with pytest.raises(FileExistsError):
        os.mkdir(tmp_path)  # noqa: PTH102 - the function is there and would have run
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(text)


# --- small files that would fill the memory ----------------------------------------------------------------


def zeros(path: Path, arrays: dict[str, np.ndarray], bomb: str, size: int, header: bytes) -> None:
    """A small archive with one member that unpacks to `size` bytes of zeros after its header."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                if name == bomb:
                    file.write(header)
                    for _ in range(size >> 20):
                        file.write(bytes(1 << 20))
                else:
                    np.lib.format.write_array(file, array)


@pytest.mark.parametrize("member", ["train_images", "val_labels"])
@pytest.mark.parametrize("header", [b"", b"\x93NUMPY\x02\x00\x00\x00\x00\x04"])  # the second announces 64 MiB of header
def test_an_archive_unpacks_to_no_more_than_its_cases_need(tmp_path: Path, member: str, header: bytes) -> None:
    about = facts()
    zeros(tmp_path / "bomb.npz", medmnist_arrays(about), member, 64 << 20, header)
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 17
    (tmp_path / "into").mkdir()
    with pytest.raises(UserError, match=f"{member} in .* would unpack to .* at most"):
        prepare_medmnist.prepare(tmp_path / "bomb.npz", about, tmp_path / "into")
