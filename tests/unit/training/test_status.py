"""`tokenmix status` over a folder of results in every condition that jobs leave it in."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tokenmix import cli
from tokenmix.training import status as module
from tokenmix.training import status_command
from tokenmix.training.lease import SILENCE, this_process

RUNS = ("waiting", "stopped", "running", "silent", "killed", "failed", "crashed", "again", "done", "diverged", "kept")
FACTS = {"epoch": 3, "epochs": 9, "iteration": 30, "iterations": 90, "loss": 1.25, "score": 0.5}
FACTS |= {"selection": "f1_macro", "images_per_second": 123.4, "seconds_left": 60.0}
LOG = "".join(f"line {number}\n" for number in range(2000)) + "error: \x1b[31mno space left\n"


def put(path: Path, content: object, age: float = 0.0) -> None:
    """Write JSON, or text as it is, that was changed `age` seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    os.utime(path, (time.time() - age,) * 2)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One run in each condition."""
    monkeypatch.chdir(tmp_path)
    results, store = tmp_path / "results", tmp_path / "results" / "store"
    put(tmp_path / "config.yaml", "study: full\nseeds: an edit under way\n")
    put(results / "plan" / "full.00000001.json", {"study": "full", "runs": {run: {} for run in RUNS}})
    put(results / "plan" / "full.00000000.json", {"study": "full", "runs": {"older": {}}}, age=100)
    put(results / "plan" / "fuller.00000000.json", {"study": "fuller", "runs": {}})
    free, held = {"released": True}, {"host": "node7/boot/ns", "pid": 1, "start": "1"}
    here = {**this_process(), "pid": 2**22 + 1}  # no process can have this number
    for run, lease, age in (
        ("stopped", free, 5),
        ("running", held, 10),
        ("silent", held, SILENCE + 60),
        ("killed", here, 0),
        ("failed", free, 5),
        ("crashed", held, 20),
        ("again", held, 0),
        ("done", free, 5),
        ("kept", free, 5),
    ):
        put(store / run / "lease.9", free, 999)
        put(store / run / "lease.10", lease, age)
        put(store / run / "progress.json", FACTS, 20)
    put(store / "stopped" / "packed.json", {"pack": "0", "status": "stopped", "exit": 75})
    put(store / "failed" / "packed.json", {"pack": "0", "status": "failed", "exit": 2})
    put(store / "crashed" / "packed.json", {"pack": "0", "status": "crashed", "exit": -9}, 15)
    put(store / "again" / "packed.json", {"pack": "0", "status": "failed", "exit": 2}, 50)
    put(results / "runs" / "done" / "run.json", {"status": "finished"})
    put(results / "runs" / "diverged" / "run.json", {"status": "diverged"})
    # finished in the store, not published yet
    put(store / "kept" / "finished.json", {})
    put(store / "kept" / "run.json", {"status": "finished"})
    put(tmp_path / "logs" / "train" / "failed.log", LOG)
    return tmp_path


@pytest.fixture
def status(capsys: pytest.CaptureFixture[str]) -> Callable[[], dict]:
    """What `tokenmix status --json` says."""

    def status() -> dict:
        assert cli.main(["status", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return status


def test_every_run_is_in_its_state(project, status) -> None:
    found = status()
    assert {name: run["state"] for name, run in found["runs"].items()} == {
        "waiting": "queued",
        "stopped": "queued",
        "running": "running",
        "silent": "silent",
        "killed": "silent",
        "failed": "failed",
        "crashed": "failed",
        "again": "running",
        "done": "done",
        "diverged": "diverged",
        "kept": "done",
    }
    assert found["study"] == "full" and found["counts"]["running"] == 2 and sum(found["counts"].values()) == len(RUNS)


def test_a_sign_of_life_from_the_future_is_no_sign_of_life(project, status) -> None:
    lease = project / "results" / "store" / "running" / "lease.10"
    os.utime(lease, (time.time() + SILENCE / 2,) * 2)  # clocks are never quite the same
    assert status()["runs"]["running"]["state"] == "running"
    os.utime(lease, (time.time() + 3600,) * 2)
    run = status()["runs"]["running"]
    assert run["state"] == "silent" and run["reason"].endswith("ahead: the clocks of this machine and the files differ")


def test_a_running_one_tells_how_far_it_is(project, status, capsys) -> None:
    run = status()["runs"]["running"]
    assert {key: run[key] for key in FACTS if key != "seconds_left"} == {
        key: value for key, value in FACTS.items() if key != "seconds_left"
    }
    # written 20 seconds ago
    assert 35 < run["seconds_left"] <= 40 and run["host"] == "node7"
    cli.main(["status"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  running   running")]
    for text in ("epoch 3 of 9", "loss 1.2500", "f1_macro 0.5000", "123 images/s", "0:00:", "node7"):
        assert text in line


def test_a_failed_one_shows_its_exit_code_and_the_end_of_its_log(project, status) -> None:
    runs = status()["runs"]
    assert runs["failed"]["reason"] == "failed, exit code 2"
    # control codes of a log do not reach the terminal
    assert runs["failed"]["log"] == [*(f"line {number}" for number in range(1996, 2000)), "error:  [31mno space left"]
    assert runs["crashed"]["reason"] == "crashed, exit code -9" and runs["crashed"]["log"] == []


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"seconds_left": "x", "epoch": [], "loss": NaN}', "\0"])
def test_half_written_files_break_nothing(project, status, content) -> None:
    for name in ("lease.10", "progress.json", "packed.json", "finished.json", "run.json"):
        for run in RUNS:
            put(project / "results" / "store" / run / name, content)
    for run in RUNS:
        put(project / "results" / "runs" / run / "run.json", content)
    found = status()
    assert set(found["runs"]) == set(RUNS) and found["counts"]["failed"] == 0
    for arguments in ([], ["--watch"]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(status_command.time, "sleep", interrupt)
            assert cli.main(["status", *arguments]) == 0


def interrupt(seconds: float) -> None:
    raise KeyboardInterrupt


def test_files_that_vanish_break_nothing(project, status, monkeypatch) -> None:
    listed = module._names

    def names(folder: Path) -> set[str]:
        """Lists what is gone a moment later."""
        found = listed(folder)
        if folder.parent.name == "store":
            shutil.rmtree(folder)
        return found

    monkeypatch.setattr(module, "_names", names)
    counts = status()["counts"]
    assert (counts["done"], counts["diverged"], counts["queued"]) == (1, 1, len(RUNS) - 2)


def test_the_view_on_a_terminal_and_its_end_by_ctrl_c(project, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert cli.main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "study full, 11 runs: 2 running, 2 silent, 2 failed, 1 diverged, 2 queued, 2 done" in shown
    assert "no space left" in shown and "epoch 3 of 9" in shown
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(status_command.time, "sleep", sleep)
    assert cli.main(["status", "--watch"]) == 0
    output = capsys.readouterr()
    assert len(looks) == 3 and "2 silent" in output.out and not output.err


def test_mistakes_are_one_message(project, capsys) -> None:
    assert cli.main(["status", "--study", "mini"]) == 2
    assert "no plan of the study 'mini'" in capsys.readouterr().err
    put(project / "config.yaml", "study: [")
    assert cli.main(["status"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: config.yaml:") and "or name the study with --study" in message
    assert cli.main(["status", "--study", "full"]) == 0


def test_it_reads_without_torch_and_writes_nothing(project) -> None:
    before = sorted(project.rglob("*"))
    code = "import sys; from tokenmix import cli; cli.main(['status']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-B", "-c", code], check=True, capture_output=True)
    assert sorted(project.rglob("*")) == before
