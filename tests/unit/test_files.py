"""Files that other jobs read: whole or not at all, one text per value."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmix import files
from tokenmix.errors import UserError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_writing_makes_folders_and_replaces_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    files.write_atomic(path, "old")
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"\xff", b"", b"{"])
def test_what_is_no_json_is_one_message(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.json cannot be read as JSON"):
        files.read_json(tmp_path / "x.json")


def test_written_files_follow_the_users_mask(tmp_path: Path) -> None:
    script = "import os, sys; os.umask(0o027); from tokenmix.files import write_atomic; write_atomic(sys.argv[1], 'x')"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "x")], check=True)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_content_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "x"
    files.write_atomic(path, "old")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, failing, fail)
    with pytest.raises(UserError, match="No space left on device"):
        files.write_atomic(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        files.write_atomic(tmp_path / "file" / "x", "text")


@given(JSON)
@settings(deadline=None, max_examples=50)
def test_json_comes_back_and_equal_values_have_one_text(value: object) -> None:
    assert json.loads(files.canonical_json(value)) == value == json.loads(files.pretty_json(value))
    assert files.canonical_json(json.loads(files.canonical_json(value))) == files.canonical_json(value)


def test_the_order_of_keys_does_not_matter() -> None:
    assert files.canonical_json({"b": 1, "a": [1.0, "ä"]}) == files.canonical_json({"a": [1.0, "ä"], "b": 1})
    assert files.canonical_json({"b": 1, "a": [1.0, "ä"]}) == '{"a":[1.0,"ä"],"b":1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_cannot_hold_are_refused(value: float) -> None:
    with pytest.raises(ValueError):
        files.canonical_json({"a": value})
    with pytest.raises(ValueError):
        files.pretty_json({"a": value})


@pytest.mark.parametrize("content", [None, "{", "\xff"])
def test_reading_names_the_file(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"x\.json"):
        files.read_json(path)


def test_the_checksum_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert files.sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
