"""The environments for pip, conda and containers promise the same software; nothing else keeps them together."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]


def requirements() -> list[str]:
    lines = (ROOT / "envs/requirements.in").read_text().splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def locked() -> dict[str, set[str]]:
    pins: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", lock_text(), re.MULTILINE):
        pins.setdefault(name, set()).add(version)
    return pins


def lock_text() -> str:
    return (ROOT / "envs/requirements.lock").read_text()


def conda_pins(file: str = "tokenmix.yaml") -> dict[str, str]:
    environment = yaml.safe_load((ROOT / "envs" / file).read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    return dict(line.split("==") for line in pip)


def test_lock_covers_every_requirement():
    assert set(requirements()) <= set(locked())


def test_every_locked_package_has_hashes():
    entries = re.split(r"^(?=[a-z0-9._-]+==)", lock_text(), flags=re.MULTILINE)[1:]
    assert len(entries) > 100
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_lock_names_no_index():
    assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links", lock_text())


@pytest.mark.parametrize("file", ["tokenmix.yaml", "latex.yaml"])
def test_conda_environments_have_the_locked_versions(file):
    assert {name: version for name, version in conda_pins(file).items() if version not in locked()[name]} == {}


def test_the_pdf_needs_no_more_than_the_conda_environment_of_latex():
    code = "import sys, tokenmix.cli, tokenmix.reporting.command, tokenmix.reporting.paper; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    above = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    jobs = {"pyyaml": "yaml"}
    assert above & {jobs.get(name, name) for name in conda_pins()} <= {jobs.get(n, n) for n in conda_pins("latex.yaml")}


def test_conda_environment_has_what_the_jobs_import():
    # everything above the first tool in requirements.in serves the jobs themselves
    jobs = requirements()[: requirements().index("snakemake")]
    assert set(conda_pins()) == set(jobs)


def test_container_installs_from_the_lock():
    container = (ROOT / "envs/Containerfile").read_text()
    assert "envs/requirements.lock" in container and "make env" in container


def test_container_takes_nothing_that_a_used_checkout_made():
    ignored = (ROOT / ".gitignore").read_text().replace("/", "").split()
    made = {".venv", ".snakemake", "results", "data", "logs"}
    assert made <= set(ignored) and made <= set((ROOT / ".dockerignore").read_text().split())


def test_container_has_the_latex_packages_of_the_set_up():
    packages = set(re.search(r"apt_install (latexmk .*?) \|\|", (ROOT / "envs/setup").read_text())[1].split())
    assert packages <= set((ROOT / "envs/Containerfile").read_text().split())
