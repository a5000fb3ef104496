"""Two users who plan in one folder of results, one after the other."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from checkout import ROOT

from tokenmix.files import write_atomic

CONFIG = """
study: full
seeds: [0]
datasets: {phantom_tissue: {size: 28}}
tables: {only: {scale: xs, mixers: {identity: }}}
"""
#: each user is a child of its own that plans and packs, as the head does
USERS = """
import json, os, sys
from pathlib import Path
from tokenmix.errors import UserError
from tokenmix.study.load import load_config
from tokenmix.study.packs import freeze_packs
from tokenmix.study.plan import freeze, resolve

root, group, *users = json.loads(sys.argv[1])
resolve(load_config(Path(root)), Path(root), Path(root, "src"))  # imports what users may not be able to read
for user, mask in users:
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
        os.umask(mask)
        try:
            plan = freeze(load_config(Path(root)), Path(root), Path(root, "src"))
            freeze_packs(plan.content, Path(root), workers=1)
        except UserError as error:
            print(error, file=sys.stderr)
            os._exit(2)
        except BaseException as error:
            print("Traceback", repr(error), file=sys.stderr)
        else:
            os._exit(0)
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
ANNA, BORIS, GROUP = 61001, 61002, 61003


@pytest.fixture
def project():
    """A project folder that a group of users may write in."""
    if os.geteuid() != 0:
        pytest.skip("only root can become two other users")
    root = Path(tempfile.mkdtemp())
    write_atomic(root / "config.yaml", CONFIG)
    shutil.copytree(ROOT / "src/tokenmix", root / "src/tokenmix", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (root, root / "data", root / ".snakemake"):
        folder.mkdir(exist_ok=True)
        os.chown(folder, 0, GROUP)
        folder.chmod(0o2775)
    yield root
    shutil.rmtree(root)


def plan_as(project: Path, *users: tuple[int, int]) -> tuple[list[int], str]:
    """Let users (id, mask) plan in turn; their exit codes and what was said."""
    asked = json.dumps([str(project), GROUP, *users])
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", USERS, asked], env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return [int(code) for code in done.stdout.split()], done.stderr


def test_users_of_a_group_plan_in_turn(project):
    codes, said = plan_as(project, (ANNA, 0o002), (BORIS, 0o002), (ANNA, 0o002))
    assert codes == [0, 0, 0], said
    folders = [path for path in (project / "results").rglob("*") if path.is_dir()]
    assert [path for path in folders if path.stat().st_mode & 0o775 != 0o775] == []


def test_code_that_was_committed_meanwhile_is_no_reason_to_refuse_a_colleague(project):
    assert plan_as(project, (ANNA, 0o002))[0] == [0]
    for folder in (project / "results/code").iterdir():
        folder.chmod(0o755)  # as an earlier version made it
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "src"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *arguments], cwd=project, check=True)
    for path in (project, *(project / ".git").rglob("*"), project / ".git", *(project / "src").rglob("*")):
        os.chown(path, BORIS, GROUP)  # git works in one's own repository only
    codes, said = plan_as(project, (BORIS, 0o002))
    assert codes == [0], said


def test_what_a_private_mask_hides_is_named_and_nobody_is_told_to_delete_it(project):
    codes, said = plan_as(project, (ANNA, 0o077), (BORIS, 0o002))
    assert codes == [0, 2]
    assert said.startswith("cannot ") and f"{project}/results/" in said and "writable" in said
    assert "edited" not in said and "delete" not in said
