"""The copy of the package that all jobs share which train nothing: whole, exact, and without what programs leave."""

import os
import subprocess
import sys
from pathlib import Path

from tokenmix.study.code import forget
from tokenmix.study.frozen import freeze_code
from tokenmix.study.workbench import workbench


def files(folder: Path) -> set[str]:
    found = (path for path in (folder / "tokenmix").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in found}


def test_it_holds_every_file_of_the_package_and_commands_run_from_it(source, tmp_path):
    frozen = freeze_code(workbench(source), source, tmp_path / "results")
    assert files(frozen) == files(source) and "tokenmix/data/checkpoints.yaml" in files(frozen)
    for command in ("evaluate", "profile", "report", "archive", "data"):
        environment = {**os.environ, "PYTHONPATH": str(frozen), "PYTHONSAFEPATH": "1"}
        code = f"import tokenmix.cli; print(tokenmix.cli.__file__); tokenmix.cli.main(['{command}', '--help'])"
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.startswith(f"{frozen}/tokenmix/cli.py\n"), done.stderr


def test_what_programs_keep_beside_the_code_is_no_part_of_it(source, tmp_path):
    before = workbench(source).hash
    notes = source / "tokenmix/study/.ipynb_checkpoints/code-checkpoint.py"
    notes.parent.mkdir()
    notes.write_text("half a li")
    for name in ("cli.cpython-311.pyc", "rows._forward-59.py311.nbi", "rows._forward-59.py311.1.nbc"):
        cache = source / "tokenmix/models/attention/__pycache__" / name
        cache.parent.mkdir(exist_ok=True)
        cache.write_bytes(b"x")
    forget()
    identity = workbench(source)
    assert identity.hash == before
    freeze_code(identity, source, tmp_path / "results")


def test_an_edit_of_any_file_gives_another_copy(source):
    before = workbench(source).hash
    for name in ("data/manifest.yaml", "reporting/page/page.css", "reporting/tables.py"):
        path = source / "tokenmix" / name
        text = path.read_text()
        path.write_text(text + ("\nANYTHING = 1\n" if path.suffix == ".py" else "\n"))
        forget()
        assert workbench(source).hash != before, name
        path.write_text(text)
