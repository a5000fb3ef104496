"""`envs/setup` on machines that lack something, played by stand-ins for Python, apt and sudo."""

import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[3] / "envs/setup"
TOOLS = ("bash", "dirname", "env", "rm", "mkdir", "cp", "cat", "sed", "tr", "grep")

#: a Python of a supported version; `import ensurepip` fails until apt was called; notes what it is asked for
PYTHON = """#!/bin/bash
echo "python $*" >> "$LOG"
case "$*" in
    *version_info*) exit 0 ;;
    *ensurepip*) [ -e "$LOG.venv" ] ;;
    "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
"""
APT = """#!/bin/bash
echo "apt-get $*" >> "$LOG"
[ "$1" = update ] || : > "$LOG.venv"
"""


class Machine:
    """A machine with the programs in `bin` and nothing else."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin, self.log = root, root / "bin", root / "log"
        self.bin.mkdir()
        self.log.touch()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        (root / "envs").mkdir()
        shutil.copy(SETUP, root / "envs/setup")

    def program(self, name: str, script: str) -> None:
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def set_up(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / "bash", self.root / "envs/setup", "python"],
            env={"PATH": str(self.bin), "LOG": str(self.log)},
            capture_output=True,
            text=True,
        )

    @property
    def called(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("old", [False, True])
def test_no_supported_python_is_one_message(machine: Machine, old: bool) -> None:
    if old:
        machine.program("python3", "#!/bin/bash\nexit 1\n")
    done = machine.set_up()
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    for word in ("Debian", "Fedora", "macOS", "conda", "make env PYTHON="):
        assert word in done.stderr


def test_no_venv_and_no_apt_is_one_message(machine: Machine) -> None:
    machine.program("python3", PYTHON)
    done = machine.set_up()
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "python3-venv" in done.stderr
    assert not (machine.root / ".venv").exists()


@pytest.mark.parametrize("user", ["root", "sudo", "nobody"])
def test_venv_comes_from_debian_where_apt_can_be_used(machine: Machine, user: str) -> None:
    machine.program("python3", PYTHON)
    machine.program("apt-get", APT)
    machine.program("id", f"#!/bin/bash\necho {0 if user == 'root' else 1000}\n")
    if user == "sudo":
        machine.program("sudo", '#!/bin/bash\n[ "$1" = -n ] || exit 1\nshift\n[ "$1" = true ] || exec "$@"\n')
    done = machine.set_up()
    installed = [call for call in machine.called if call.startswith("apt-get install")]
    if user == "nobody":
        assert done.returncode == 2 and "python3-venv" in done.stderr and not installed
        return
    assert done.returncode == 0, done.stderr
    assert len(installed) == 1 and installed[0].endswith(" python3-venv")
    (locked,) = [call for call in machine.called if "requirements.lock" in call]
    assert "--require-hashes -r envs/requirements.lock" in locked


def test_an_environment_of_a_missing_python_is_made_anew(machine: Machine) -> None:
    machine.program("python3", PYTHON)
    machine.log.with_name("log.venv").touch()
    (machine.root / ".venv/bin").mkdir(parents=True)
    (machine.root / ".venv/old").touch()
    assert machine.set_up().returncode == 0
    assert not (machine.root / ".venv/old").exists() and "python -m venv .venv" in machine.called
    machine.log.write_text("")
    (machine.root / ".venv/kept").touch()
    assert machine.set_up().returncode == 0
    assert (machine.root / ".venv/kept").exists() and "python -m venv .venv" not in machine.called
