"""Frozen code: exact copies of the modules a job needs, in a folder named by their hash.

Jobs run these copies, never the working tree, so that authors may go on editing while jobs wait.
A module that the walk of imports missed is absent from the copy and fails to import at once.
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import pretty_json, read_json, unfinished, write_atomic
from tokenmix.study.code import DIGITS, PACKAGE, CodeIdentity, file_hash, root_of
from tokenmix.study.installed import LISTING
from tokenmix.study.tolerant import read_object

ORIGIN = "origin.json"


def code_folder(results: Path | str, code_hash: str) -> Path:
    """Where the code of this hash is frozen."""
    return Path(results) / "code" / code_hash[:DIGITS]


def freeze_code(identity: CodeIdentity, source: Path, results: Path) -> Path:
    """Copy the files of `identity` to its folder below `results`, once; return the folder.

    The folder also gets `modules.json` (hash by module, for later comparison; modules of other packages' mixers)
    and `origin.json` (commit, dirty flag and date of the git tree that our package came from). An existing folder
    is left as it is, after a check that nobody edited it (UserError); only what was frozen before it was committed
    learns its commit.
    """
    folder = code_folder(results, identity.hash)
    own = [file for file in identity.files if file.startswith(f"{PACKAGE}/")]
    if folder.is_dir():
        check_frozen(folder, identity)
        if read_object(folder / ORIGIN).get("dirty") is not False:
            origin = git_origin(source, own)
            if origin["dirty"] is False:
                with contextlib.suppress(UserError):  # somebody else froze it, whose folder only they may write
                    write_atomic(folder / ORIGIN, pretty_json(origin))
        return folder
    try:
        copy = unfinished(folder)
        copy.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot write {folder.parent}: {error.strerror}; make it writable") from error
    try:
        for file in identity.files:
            target = copy / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_original(file, source), target)
        write_atomic(copy / LISTING, pretty_json(_listing(identity)))
        write_atomic(copy / ORIGIN, pretty_json(git_origin(source, own)))
        check_frozen(copy, identity)  # an edit between hashing and copying must not slip in
        try:
            copy.rename(folder)
        except OSError:
            # another process froze the same code in the meantime
            check_frozen(folder, identity)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}; free some space") from error
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return folder


def check_frozen(folder: Path, identity: CodeIdentity) -> None:
    """Raise UserError unless `folder` holds exactly the code of `identity` (comments may differ).

    Raises PermissionError for what cannot be read: only its owner can say whether it was edited.
    """
    present: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if name != "__pycache__"]
        present |= {Path(parent, name).relative_to(folder).as_posix() for name in names}
    present -= {LISTING, ORIGIN}
    wrong = sorted(present ^ identity.files.keys())
    for file in sorted(present & identity.files.keys()):
        try:
            same = file_hash(folder / file) == identity.files[file]
        except UserError:
            same = False
        if not same:
            wrong.append(file)
    if wrong:
        raise UserError(
            f"frozen code was edited: {folder / wrong[0]}"
            + (f" and {len(wrong) - 1} more files" if len(wrong) > 1 else "")
            + f"; edit the code that it was copied from instead, and delete {folder} so that it is frozen afresh"
        )


def read_modules(results: Path, code_hash: str) -> dict[str, str] | None:
    """Hash by module (and by other file) of code frozen earlier, or None when it is not there any more."""
    path = code_folder(results, code_hash) / LISTING
    if not path.is_file():
        return None
    listing = read_json(path)
    return {**listing["modules"], **listing["resources"]}


def git_origin(source: Path, files: list[str]) -> dict[str, Any]:
    """Commit, commit date (ISO 8601) and dirty flag of the git tree that holds `files` below `source`.

    Dirty means that tracked files differ from the commit or that one of `files` is not tracked; results and
    other untracked files do not count. All values are None without git, without a commit, or when `source` is
    no part of the repository that surrounds it.
    """
    head = _git(source, "log", "-1", "--format=%H %cI")
    tracked = _git(source, "ls-files", "-z", "--", *files)
    if not head or not tracked:
        return {"commit": None, "date": None, "dirty": None}
    commit, date = head.split()
    changed = _git(source, "status", "--porcelain", "--untracked-files=no")
    untracked = len(files) - tracked.count("\0")
    return {"commit": commit, "date": date, "dirty": bool(changed) or untracked > 0}


def _raise(error: OSError) -> None:
    raise error


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _original(file: str, source: Path) -> Path:
    top = file.partition("/")[0].removesuffix(".py")
    return (root_of(top, source) or source) / file


def _listing(identity: CodeIdentity) -> dict[str, Any]:
    parts = {"modules": identity.modules, "resources": identity.resources, "mixers": identity.mixers}
    return {"hash": identity.hash, **parts}
