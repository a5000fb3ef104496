"""Fetching: resumed, verified, bounded, https only, mirrors first, offline."""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest
from factories import facts, medmnist_arrays, serve, write_npz

from tokenmix.data import download, fetch
from tokenmix.errors import UserError
from tokenmix.study.manifest import DatasetEntry

CONTENT = bytes(range(256)) * 300


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=made.append))
    monkeypatch.delenv("TOKENMIX_MIRRORS", raising=False)
    return made


def visible(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != fetch.LOCK]


def entry(url: str, content: bytes = CONTENT, kind: str = "imagefolder_archive", **source: object) -> DatasetEntry:
    return DatasetEntry.model_validate(
        {
            "kind": kind,
            "title": "Tiny",
            "task": "multi-class",
            "classes": ["a", "b", "c"],
            "channels": 1,
            "splits": {"train": 12, "val": 5, "test": 7},
            "files": {8: {"url": url, "md5": hashlib.md5(content).hexdigest(), **source}},
        }
    )


def test_a_file_is_fetched_once(tmp_path: Path) -> None:
    with serve(CONTENT) as server:
        path = fetch.fetch(entry(server.url), 8, tmp_path)
        again = fetch.fetch(entry(server.url), 8, tmp_path)
        assert path == again == tmp_path / "data.bin"
        assert path.read_bytes() == CONTENT
        assert len(server.requests) == 1
    assert visible(tmp_path) == ["data.bin"]


def test_a_log_tells_each_tenth_of_a_download(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = CONTENT * 200  # 15 MB, many blocks
    (tmp_path / "data.bin.part").write_bytes(content[: len(content) // 2])
    with serve(content) as server:
        fetch.fetch(entry(server.url, content), 8, tmp_path)
    first, *others = capsys.readouterr().err.splitlines()
    assert first == f"fetching data.bin, {len(content)} bytes"
    assert [line.partition(":")[0] for line in others] == ["data.bin"] * len(others)
    told = [int(line.split()[1]) for line in others]
    assert [percent // 10 for percent in told] == [6, 7, 8, 9, 10] and others[-1].endswith(" 100 %")


def test_a_terminal_shows_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    with serve(CONTENT) as server:
        fetch.fetch(entry(server.url), 8, tmp_path)
    assert "data.bin" in terminal.getvalue() and "76.8/76.8 kB" in terminal.getvalue()


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, waits: list[float]) -> None:
    with serve(CONTENT) as server:
        server.answers = ["break:1000", "break:2000"]
        assert fetch.fetch(entry(server.url), 8, tmp_path).read_bytes() == CONTENT
        assert [asked for _, asked in server.requests] == ["", "bytes=1000-", "bytes=3000-"]
    assert waits == [2.0, 4.0]


def test_a_later_call_goes_on_with_the_part(tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:5000])
    with serve(CONTENT) as server:
        assert fetch.fetch(entry(server.url), 8, tmp_path).read_bytes() == CONTENT
        assert [asked for _, asked in server.requests] == ["bytes=5000-"]


def test_a_complete_part_needs_no_more_bytes(tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    with serve(CONTENT) as server:
        assert fetch.fetch(entry(server.url), 8, tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"other bytes" * 10_000)  # more than the file has
    with serve(CONTENT) as server:
        server.answers = ["whole"]
        assert fetch.fetch(entry(server.url), 8, tmp_path).read_bytes() == CONTENT
        assert len(server.requests) == 1


def test_a_part_of_another_version_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * 5000)
    with serve(CONTENT) as server:
        assert fetch.fetch(entry(server.url), 8, tmp_path).read_bytes() == CONTENT
        assert [asked for _, asked in server.requests] == ["bytes=5000-", ""]


def test_wrong_bytes_are_refused_and_removed(tmp_path: Path) -> None:
    with serve(b"other bytes") as server, pytest.raises(UserError, match="wrong checksum") as problem:
        fetch.fetch(entry(server.url), 8, tmp_path)
    assert hashlib.md5(CONTENT).hexdigest() in str(problem.value)
    assert hashlib.md5(b"other bytes").hexdigest() in str(problem.value)
    assert visible(tmp_path) == []


def test_one_job_at_a_time_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download_and_look(url: str, part: Path, limit: int) -> None:
        with (tmp_path / fetch.LOCK).open("ab") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part.write_bytes(CONTENT)

    monkeypatch.setattr(fetch, "download", download_and_look)
    held = (tmp_path / fetch.LOCK).open("ab")
    for url, content in (("https://a/1.bin", CONTENT), ("https://b/2.bin", b"other"), ("https://a/3.bin", CONTENT)):
        with contextlib.suppress(UserError) if content == b"other" else contextlib.nullcontext():
            fetch.fetch(entry(url, content), 8, tmp_path)
        # those who wait for the lock wait for the same one, also after a file was refused
        assert os.path.sameopenfile(held.fileno(), os.open(tmp_path / fetch.LOCK, os.O_RDONLY))
    assert sorted(visible(tmp_path)) == ["1.bin", "3.bin"]


def test_a_job_says_that_it_waits_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    asked = []

    def flock(lock: io.BufferedWriter, how: int) -> None:
        asked.append(how)
        if how & fcntl.LOCK_NB:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(fetch.fcntl, "flock", flock)
    with serve(CONTENT) as server:
        fetch.fetch(entry(server.url), 8, tmp_path)
    assert asked == [fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_EX]
    assert f"waiting for another job that downloads into {tmp_path}\n" in capsys.readouterr().err


def test_a_file_system_without_locks_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fetch.fcntl, "flock", refuse)
    with pytest.raises(UserError, match=r"cannot lock .*Function not implemented; choose a data folder"):
        fetch.fetch(entry("https://a/1.bin"), 8, tmp_path)


def test_a_server_that_wants_a_long_rest_is_left_alone(tmp_path: Path, waits: list[float]) -> None:
    with serve(CONTENT) as server:
        server.answers, server.retry_after = ["break:1000", "status:503"], "3600"
        with pytest.raises(UserError, match=r"a pause of 3600 s; 1000 bytes are kept"):
            fetch.fetch(entry(server.url), 8, tmp_path)
        assert len(server.requests) == 2 and waits == [2.0]
        assert fetch.fetch(entry(server.url), 8, tmp_path).read_bytes() == CONTENT


def test_a_pause_until_a_date_is_a_pause(tmp_path: Path, waits: list[float]) -> None:
    with serve(CONTENT) as server:
        server.answers, server.retry_after = ["status:503"], "Fri, 01 Jan 2100 00:00:00 GMT"
        with pytest.raises(UserError, match=r"a pause of \d+ s"):
            fetch.fetch(entry(server.url), 8, tmp_path)
        server.answers, server.retry_after = ["status:503"], "tomorrow"
        assert fetch.fetch(entry(server.url), 8, tmp_path).read_bytes() == CONTENT
    assert waits == [2.0]


def test_the_lock_of_another_user_is_enough_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Path.open

    def guarded(path: Path, mode: str = "r", *more: object) -> IO[bytes]:  # permissions do not bind root
        if path.name == fetch.LOCK and mode != "rb":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return really(path, mode, *more)

    (tmp_path / fetch.LOCK).touch(0o444)
    monkeypatch.setattr(Path, "open", guarded)
    with serve(CONTENT) as server:
        assert fetch.fetch(entry(server.url), 8, tmp_path).read_bytes() == CONTENT


def test_a_busy_server_is_waited_for_as_it_wishes(tmp_path: Path, waits: list[float]) -> None:
    with serve(CONTENT) as server:
        server.answers, server.retry_after = ["status:429", "status:503"], "7"
        assert fetch.fetch(entry(server.url), 8, tmp_path).read_bytes() == CONTENT
    assert waits == [7.0, 7.0]


def test_what_was_received_survives_a_dead_server(tmp_path: Path) -> None:
    with serve(CONTENT) as server:
        server.answers = ["break:1000"] + ["status:500"] * 4
        with pytest.raises(UserError, match=r"after 5 attempts.*1000 bytes are kept"):
            fetch.fetch(entry(server.url), 8, tmp_path)
    assert (tmp_path / "data.bin.part").read_bytes() == CONTENT[:1000]


def test_a_missing_file_is_not_asked_for_twice(tmp_path: Path) -> None:
    with serve(CONTENT) as server:
        server.answers = ["status:404"]
        with pytest.raises(UserError, match="answers 404"):
            fetch.fetch(entry(server.url), 8, tmp_path)
        assert len(server.requests) == 1


@pytest.mark.parametrize("announce", [True, False])
def test_more_bytes_than_the_data_set_has_are_refused(tmp_path: Path, announce: bool) -> None:
    with serve(CONTENT) as server:
        server.announce = announce
        with pytest.raises(UserError, match="at most 1000"):
            fetch.fetch(entry(server.url, bytes=1000), 8, tmp_path)
    assert visible(tmp_path) == []


def test_the_bound_of_an_archive_of_unknown_size_follows_from_its_pixels(tmp_path: Path) -> None:
    about = entry("https://example.org/tiny.npz", kind="medmnist")
    limit = fetch.largest_size(about, 8, about.files[8])
    content = write_npz(tmp_path / "tiny.npz", medmnist_arrays(facts())).stat().st_size
    assert content <= limit <= 24 * 8 * 8 * 2 + (2 << 20)


def test_only_https_is_followed_beyond_this_computer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only https"):
        fetch.fetch(entry("http://example.org/data.bin"), 8, tmp_path)


@pytest.mark.parametrize("target", ["http://example.org/data.bin", "ftp://127.0.0.1/data.bin", "file:///etc/passwd"])
def test_a_redirect_to_an_unencrypted_address_is_refused(tmp_path: Path, target: str) -> None:
    with serve(CONTENT) as server:
        server.answers = [f"redirect:{target}"]
        with pytest.raises(UserError, match=r"redirected from.*only https"):
            fetch.fetch(entry(server.url), 8, tmp_path)


@pytest.mark.parametrize("target", ["https://[", "https://a]b/x", "//[::1/x"])
def test_a_redirect_to_no_address_is_refused(tmp_path: Path, target: str, waits: list[float]) -> None:
    with serve(CONTENT) as server:
        server.answers = [f"redirect:{target}"]
        with pytest.raises(UserError, match="is no address"):
            fetch.fetch(entry(server.url), 8, tmp_path)
    assert waits == []


@pytest.mark.parametrize(
    "name", ["%00", "a%2f..%2f..", "%2e%2e", ".hidden", "a%0ab", "x" * 300, "a%5cb", ""]
)  # what stands in the address, unquoted
def test_an_address_whose_file_cannot_be_stored_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="names no file"):
        fetch.fetch(entry(f"https://example.org/{name}"), 8, tmp_path / "cache", [tmp_path])
    assert visible(tmp_path) == []


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no address"):
        fetch.fetch(entry("https://[/data.bin"), 8, tmp_path)


def test_a_file_s_name_is_no_pattern_in_a_mirror(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "data.bin").write_bytes(CONTENT)
    with pytest.raises(UserError, match="not on this machine"):
        fetch.fetch(entry("https://example.org/*.bin"), 8, tmp_path / "cache", [tmp_path / "mirror"], offline=True)


def test_a_mirror_in_nobody_s_home_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="write the whole path"):
        fetch.fetch(entry("https://example.org/data.bin"), 8, tmp_path, ["~nobody_has_this_name/x"], offline=True)


def test_a_file_that_is_larger_than_announced_is_cut_off_while_it_comes(tmp_path: Path) -> None:
    with serve(b"x" * (64 << 20)) as server:
        server.announce = False
        with pytest.raises(UserError, match="at most 1000"):
            fetch.fetch(entry(server.url, bytes=1000), 8, tmp_path)
        assert len(server.requests) == 1
    assert visible(tmp_path) == []


def test_an_official_address_cannot_send_us_to_this_computer() -> None:
    with pytest.raises(UserError, match="only https"):
        download.check_address("http://127.0.0.1/x", origin="https://example.org/x")


def test_a_redirect_is_followed_but_not_for_ever(tmp_path: Path) -> None:
    with serve(CONTENT) as server:
        server.answers = ["redirect:/elsewhere.bin"]
        assert fetch.fetch(entry(server.url), 8, tmp_path / "a").read_bytes() == CONTENT
        server.answers = ["redirect:/elsewhere.bin"] * 20
        with pytest.raises(UserError, match="redirected more than"):
            fetch.fetch(entry(server.url), 8, tmp_path / "b")


def test_mirrors_come_first_and_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = tmp_path / "bad" / "data.bin", tmp_path / "mirror" / "deep" / "data.bin"
    for path, content in ((bad, b"wrong"), (good, CONTENT)):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    monkeypatch.setenv("TOKENMIX_MIRRORS", str(tmp_path / "bad"))
    with serve(CONTENT) as server:
        assert fetch.fetch(entry(server.url), 8, tmp_path / "cache", [tmp_path / "mirror"]) == good
        assert server.requests == []


def test_offline_and_missing_says_what_to_put_where(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "data.bin").write_bytes(b"wrong")
    with serve(CONTENT) as server:
        with pytest.raises(UserError) as problem:
            fetch.fetch(entry(server.url), 8, tmp_path / "cache", [tmp_path / "mirror"], offline=True)
        assert server.requests == []
        text = str(problem.value)
        assert server.url in text and hashlib.md5(CONTENT).hexdigest() in text and str(tmp_path / "cache") in text
        assert f"{tmp_path / 'mirror' / 'data.bin'} has that name but another checksum" in text


def test_an_unwritable_cache_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with serve(CONTENT) as server, pytest.raises(UserError, match="cannot write below"):
        fetch.fetch(entry(server.url), 8, tmp_path / "file" / "cache")


def test_a_size_that_is_not_offered_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not offered at 9 pixels; choose one of 8"):
        fetch.fetch(entry("https://example.org/data.bin"), 9, tmp_path)
