"""Whatever ends a training, it goes on from there and leaves the same bytes."""

import json
from pathlib import Path

import pytest
from training_runs import RUN, make_plan, outputs

#: (call, n, before or after it); each attempt writes state after every step and is killed at this point
KILLS = [
    ("link", 1, "before"),  # the lease is about to be taken
    ("link", 1, "after"),  # the lease is taken
    ("step", 1, "before"),  # no state exists yet
    ("write", 2, "before"),  # half of the first state is written
    ("fsync", 1, "before"),
    ("replace", 1, "before"),  # the state is whole, but has no name yet
    ("replace", 1, "after"),  # between rename and fsync of the folder
    ("fsync", 2, "after"),
    ("step", 2, "before"),
    ("replace", 2, "after"),
    ("write", 4, "before"),  # inside the second state of this attempt
    ("step", 2, "after"),
    ("fsync", 3, "before"),
    ("replace", 5, "before"),  # training is done: among the artefacts
    ("fsync", 6, "after"),
    ("link", 2, "before"),  # all is finished, nothing is published
    ("link", 3, "after"),  # during publishing
    ("replace", 2, "after"),
    ("link", 5, "before"),  # all is published but the attestation
    ("replace", 4, "after"),  # the attestation is published, the folder not yet flushed
]


@pytest.fixture(scope="module")
def undisturbed(driver, tmp_path_factory) -> dict[str, bytes]:
    """The outputs of the run when nothing interferes."""
    root = tmp_path_factory.mktemp("undisturbed")
    codes, log = driver(make_plan(root))
    assert codes == [0], log
    return outputs(root)


def test_twenty_kills_of_one_training_change_no_byte(driver, tmp_path: Path, undisturbed) -> None:
    plan = make_plan(tmp_path)
    attempts = []
    for call, n, when in KILLS:
        codes, log = driver(plan, {"kill": [call, n], "when": when, "checkpoint_seconds": 0})
        assert codes == [-9], f"not killed at {call} {n}: {log}"
        attempts.append(log)
    codes, log = driver(plan)
    assert codes == [0], log
    assert outputs(tmp_path) == undisturbed
    # the last attempts only published: nothing finished was trained again
    assert all("iterations" not in text for text in [*attempts[16:], log])
    store = tmp_path / "results" / "store" / RUN
    assert not list(store.glob("*state*")), "state is removed when the run is finished"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_writes_state_and_says_so(driver, tmp_path: Path, undisturbed, name: str) -> None:
    plan = make_plan(tmp_path)
    stopping = {"kill": ["step", 6], "signal": name}
    codes, log = driver(plan, stopping)
    assert codes == [75]
    assert f"stopped: {name} in iteration 6" in log and "start the same command to go on" in log
    codes, log = driver(plan)
    assert codes == [0]
    assert "6 of them done" in log
    assert outputs(tmp_path) == undisturbed
    assert json.loads((tmp_path / "results" / "runs" / RUN / "run.json").read_text())["execution"]["attempts"] == 2


def test_two_jobs_at_once_train_once(driver, tmp_path: Path, undisturbed) -> None:
    codes, log = driver(make_plan(tmp_path), {}, {})
    assert codes == [0, 0], log
    assert log.count("iterations, 0 of them done") == 1
    assert log.count("waiting: another job works at this run") == 1
    assert log.count("published in") == 2
    assert outputs(tmp_path) == undisturbed


def test_deleted_outputs_are_published_again_without_training(driver, tmp_path: Path, undisturbed) -> None:
    plan = make_plan(tmp_path)
    driver(plan)
    before = json.loads((tmp_path / "results" / "runs" / RUN / "run.json").read_text())
    for path in (tmp_path / "results" / "runs" / RUN).iterdir():
        path.unlink()
    codes, log = driver(plan)
    assert codes == [0] and "epoch" not in log
    assert outputs(tmp_path) == undisturbed
    assert json.loads((tmp_path / "results" / "runs" / RUN / "run.json").read_text()) == before


def test_a_damaged_artefact_is_noticed_and_made_again(driver, tmp_path: Path, undisturbed) -> None:
    plan = make_plan(tmp_path)
    driver(plan)
    weights = tmp_path / "results" / "store" / RUN / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    codes, log = driver(plan)
    assert codes == [0]
    assert "model.safetensors changed since the run finished" in log
    assert outputs(tmp_path) == undisturbed


def test_a_full_disk_is_one_message_and_the_older_state_stays(driver, tmp_path: Path, undisturbed) -> None:
    plan = make_plan(tmp_path)
    assert driver(plan, {"kill": ["step", 5], "checkpoint_seconds": 0})[0] == [-9]
    # the kernel refuses to let any file grow beyond this, as it does on a full disk
    codes, log = driver(plan, {"file_limit": 100_000, "checkpoint_seconds": 0})
    assert codes == [2]
    assert "error: cannot write the state" in log and "goes on from the state written before" in log
    assert "Traceback" not in log
    codes, log = driver(plan)
    assert codes == [0] and "4 of them done" in log
    assert outputs(tmp_path) == undisturbed


@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_a_damaged_state_is_recognised_and_the_other_used(driver, tmp_path: Path, undisturbed, damage: str) -> None:
    plan = make_plan(tmp_path)
    driver(plan, {"kill": ["step", 6], "checkpoint_seconds": 0})  # five states were written, the last one counts
    newest = max((tmp_path / "results" / "store" / RUN).glob("state.*"), key=lambda path: path.read_bytes()[8:16])
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content[: len(content) // 2] if damage == "truncated" else content)
    codes, log = driver(plan)
    assert codes == [0]
    assert f"{newest.name} is damaged" in log and "4 of them done" in log
    assert outputs(tmp_path) == undisturbed


def test_without_any_whole_state_training_begins_again(driver, tmp_path: Path, undisturbed) -> None:
    plan = make_plan(tmp_path)
    driver(plan, {"kill": ["step", 6], "checkpoint_seconds": 0})
    for state in (tmp_path / "results" / "store" / RUN).glob("state.*"):
        state.write_bytes(state.read_bytes()[:1000])
    codes, log = driver(plan)
    assert codes == [0] and "training starts from the beginning" in log
    assert outputs(tmp_path) == undisturbed
