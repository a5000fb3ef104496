"""Two users who share one store: what one may not read or write is one message, what he may is gone on with."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from training_runs import RUN, make_plan, outputs

#: everything is imported by a training of the test's own user; then children become the users, one after the other
USERS = """
import json, os, sys
from tokenmix.training.__main__ import main

first, shared, *users = json.loads(sys.argv[1])
os.chdir(first["root"])
assert main([first["plan"]]) == 0
os.chdir(shared["root"])
for user in users:
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(user["group"])
        os.setuid(user["id"])
        os.umask(user["mask"])
        os._exit(main([shared["plan"], *user["arguments"]]))
    print(user["id"], os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
ANNA, BORIS, GROUP = 61001, 61002, 61003


@pytest.fixture
def shared():
    """A project folder that a group of users may write in."""
    if os.geteuid() != 0:
        pytest.skip("only root can become two other users")
    root = Path(tempfile.mkdtemp())
    plan = make_plan(root)
    (root / "results" / "store").mkdir()
    (root / "results" / "runs").mkdir()
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        os.chown(folder, 0, GROUP)
        folder.chmod(0o2775)
    yield plan
    shutil.rmtree(root)


def use(plan: Path, folder: Path, *users: tuple[int, int, list[str]]) -> tuple[list[int], str]:
    """Let users (id, mask, arguments) start the same run in turn; their exit codes and what was said."""
    root = plan.parents[2]
    asked = [
        {"root": str(folder), "plan": str(make_plan(folder))},
        {"root": str(root), "plan": str(plan)},
        *({"id": who, "group": GROUP, "mask": mask, "arguments": arguments} for who, mask, arguments in users),
    ]
    done = subprocess.run([sys.executable, "-c", USERS, json.dumps(asked)], capture_output=True, text=True)
    codes = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert len(codes) == len(users), done.stderr
    return codes, done.stderr


def test_a_colleague_publishes_what_another_trained(shared, tmp_path):
    codes, said = use(shared, tmp_path, (ANNA, 0o002, ["--only", "train"]), (BORIS, 0o022, ["--only", "publish"]))
    assert codes == [0, 0], said
    assert outputs(shared.parents[2]) == outputs(tmp_path)
    folder = shared.parents[2] / "results" / "runs" / RUN
    assert folder.stat().st_uid == BORIS


def test_what_a_private_mask_hides_is_one_message(shared, tmp_path):
    codes, said = use(shared, tmp_path, (ANNA, 0o077, ["--only", "train"]), (BORIS, 0o022, ["--only", "publish"]))
    assert codes == [0, 2], said
    assert "Traceback" not in said and "error: " in said
    assert str(shared.parents[2] / "results" / "store") in said
    assert "umask" in said


def test_data_that_another_user_keeps_private_is_one_message(shared, tmp_path):
    (shared.parents[2] / "data/squares").chmod(0o700)
    codes, said = use(shared, tmp_path, (ANNA, 0o002, []))
    assert codes == [2] and "Traceback" not in said
    assert f"error: cannot use {shared.parents[2]}/data/squares/card.json: Permission denied" in said


def test_a_pack_passes_over_another_users_note_of_a_failure(shared):
    results = shared.parents[2] / "results"
    (results / "store" / RUN).mkdir()
    note = results / "store" / RUN / "packed.json"
    note.write_text('{"status": "failed", "pack": "pack"}')
    note.parent.chmod(0o755)
    pack = results / "plan/packs/pack.json"
    pack.parent.mkdir()
    pack.write_text(json.dumps({"runs": [RUN], "threads": 1, "probe": False, "at_most": 1}))
    script = (
        "import os, sys; from pathlib import Path\n"
        "from tokenmix.training.pack import Pack; from tokenmix.training.signals import StopRequest\n"
        f"os.setgroups([]); os.setgid({GROUP}); os.setuid({ANNA})\n"
        "print(*Pack(Path(sys.argv[1]), StopRequest(), attempt=1).waiting)"
    )
    for path in (note, pack, pack.parent, shared):
        path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", script, pack], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, RUN), done.stderr
    assert note.exists()
