"""Mixers and data sets of other installed packages: found without an import, frozen and hashed like our own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories import prepared_phantom

from tokenmix.errors import UserError
from tokenmix.study import code
from tokenmix.study.code import code_identity
from tokenmix.study.config import Config
from tokenmix.study.grammar import parse_model
from tokenmix.study.manifest import load_manifest
from tokenmix.study.mixers import mixers
from tokenmix.study.plan import Plan, freeze, resolve
from tokenmix.study.stages import stage_identities, training_entries

MIXER = """\
import torch
from torch import nn

from shiny.steps import STEP

TAKES_KERNEL = True


class Mixer(nn.Module):
    def __init__(self, site, kernel):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(site.dim, 1, 1))
        self.kernel = kernel

    def forward(self, x):
        return self.scale * x.roll(STEP * (self.kernel // 2), dims=-1)
"""
FILES = {"__init__.py": "", "shift.py": MIXER, "steps.py": "STEP = 1\n", "other.py": "WORDS = 1\n"}
LESIONS = """\
kind: medmnist
title: Lesions
task: binary
classes: [benign, malignant]
channels: 1
splits: {train: 10, val: 5, test: 5}
files:
  28: {url: "https://example.org/lesions.npz", md5: "00000000000000000000000000000000"}
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution with a package: its files and the metadata that pip would leave."""

    def install(
        package: str = "shiny",
        mixers: str = "shift = shiny.shift",
        datasets: str = "",
        files: dict[str, str] = FILES,
    ) -> Path:
        site = tmp_path / f"site-{package}"
        for name, text in files.items():
            path = site / package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        metadata = site / f"{package}_mixers-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}-mixers\nVersion: 1.0\n")
        points = f"[tokenmix.mixers]\n{mixers}\n[tokenmix.datasets]\n{datasets}\n"
        (metadata / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(site)
        code.forget()
        return site / package

    yield install
    code.forget()


@pytest.fixture
def config() -> Config:
    """A study of one mixer of ours and one of the package."""
    table = {"scale": "xs", "mixers": {"identity": None, "shift": [3]}}
    datasets = {"phantom_tissue": {"size": 28}}
    training = {"iterations": 3, "batch_size": 8, "warmup_epochs": 0, "precision": "fp32"}
    study = {"study": "small", "seeds": [0], "datasets": datasets, "tables": {"one": table}, "training": training}
    return Config.model_validate(study)


def names(plan: Plan) -> dict[str, str]:
    """Model -> run."""
    return {run.run.model: name for name, run in plan.runs.items()}


def test_an_installed_mixer_is_one_of_the_mixers_without_being_imported(install):
    install()
    assert mixers()["shift"] is True and "conv" in mixers()
    assert parse_model("xs-pptt-shift5").modules() == (
        "tokenmix.models.metaformer",
        "tokenmix.models.mixers.pooling",
        "shiny.shift",
    )
    assert "shiny" not in sys.modules


def test_its_runs_train_from_frozen_code_whatever_becomes_of_the_package(install, config, tmp_path):
    package = install()
    plan = freeze(config, tmp_path)
    run = plan.runs[names(plan)["xs-tttt-shift3"]]
    frozen = tmp_path / "results/code" / run.code.hash[:8]
    copied = {path.name for path in (frozen / "shiny").iterdir()}
    assert copied == {"__init__.py", "shift.py", "steps.py"}, "all that it reaches, and nothing else"
    (package / "steps.py").write_text("this is no Python")
    (points,) = package.parent.glob("*.dist-info/entry_points.txt")
    points.write_text("[tokenmix.mixers]\nidentity = shiny.gone\n")
    card = prepared_phantom(tmp_path / "data" / run.data.folder) / "card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "hash": run.data.hash}))
    done = subprocess.run(
        [sys.executable, "-m", "tokenmix.training", f"results/plan/{run.id}.json"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join([str(frozen), str(package.parent)])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    attested = json.loads((tmp_path / "results/runs" / run.id / "run.json").read_text())
    assert attested["status"] == "finished" and attested["hashes"]["code"] == run.code.hash


def test_an_edit_of_the_package_makes_exactly_its_runs_stale(install, config, source, tmp_path):
    package = install()
    before = names(resolve(config, tmp_path, source))

    def stale() -> set[str]:
        code.forget()
        after = names(resolve(config, tmp_path, source))
        return {model for model in before if before[model] != after[model]}

    for file, text in (("other.py", "WORDS = 2\n"), ("shift.py", f"# a comment\n{MIXER}")):
        (package / file).write_text(text)
        assert stale() == set(), f"{file} changes nothing that runs"
    (package / "steps.py").write_text("STEP = 2\n")
    assert stale() == {"xs-tttt-shift3"}


def test_what_it_reaches_of_tokenmix_counts_and_other_libraries_do_not(install, source):
    install(files={**FILES, "steps.py": "import json, yaml\nfrom tokenmix.models.mixers.conv import Mixer\nSTEP = 1\n"})
    modules = code_identity(training_entries("xs-tttt-shift3"), source).modules
    assert {"shiny", "shiny.shift", "shiny.steps", "tokenmix.models.mixers.conv"} <= modules.keys()
    assert {name.partition(".")[0] for name in modules} == {"shiny", "tokenmix"}


def test_an_edit_of_the_package_counts_for_the_profile_of_its_models(install, source):
    package = install()
    models = ["xs-tttt-shift3"]
    before = stage_identities(models, source)
    (package / "shift.py").write_text(MIXER + "\nMORE = 1\n")
    code.forget()
    after = stage_identities(models, source)
    assert {stage for stage in before if before[stage] != after[stage]} == {"profiling"}


def test_a_package_changes_no_hash_of_runs_that_do_not_use_it(install, source):
    without = code_identity(training_entries("xs-tttt-conv3"), source).hash
    install()
    assert code_identity(training_entries("xs-tttt-conv3"), source).hash == without


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ({"mixers": "conv = shiny.shift"}, ["conv", "mixers/conv.py", "shift.py", "uninstall"]),
        ({"mixers": "shift = shiny.shift:Mixer"}, ["shiny-mixers", "shiny.shift:Mixer", "must be a module"]),
        ({"mixers": "shift2 = shiny.shift"}, ["shift2", "cannot name a mixer"]),
        ({"mixers": "shift = shiny.gone"}, ["shiny.gone", "missing"]),
        ({"mixers": "shift = elsewhere.gone"}, ["shiny-mixers", "elsewhere"]),
        ({"files": {"shift.py": MIXER}}, ["shiny-mixers", "__init__.py"]),
        ({"files": {**FILES, "shift.py": "def"}}, ["shift.py:1", "not valid Python"]),
        ({"files": {**FILES, "shift.py": ""}}, ["shift.py", "TAKES_KERNEL"]),
        ({"mixers": "no entry point"}, ["metadata of an installed package"]),
    ],
)
def test_a_package_that_cannot_be_used_is_named(install, package, message):
    install(**package)
    with pytest.raises(UserError) as error:
        mixers()
    assert all(part in str(error.value) for part in message), error.value


def test_two_packages_with_the_same_mixer(install):
    install()
    install("glossy", "shift = glossy.shift")
    with pytest.raises(UserError, match=r"glossy-mixers and shiny-mixers both offer shift|shiny-mixers and glossy"):
        mixers()


def test_a_data_set_of_a_package_is_known_like_those_of_the_manifest(install, tmp_path):
    install(mixers="", datasets="lesions = shiny.other", files={**FILES, "lesions.yaml": LESIONS})
    assert load_manifest(tmp_path)["lesions"].classes == ["benign", "malignant"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("breastmnist", LESIONS, ["shiny-mixers", "breastmnist", "a name of its own"]),
        ("Lesions-2", LESIONS, ["shiny-mixers", "Lesions-2", "small letters"]),
        ("lesions", LESIONS.replace("binary", "binry"), ["lesions.yaml:3", "binry"]),
        ("lesions", None, ["lesions.yaml", "cannot be read"]),
    ],
)
def test_a_data_set_of_a_package_that_cannot_be_used_is_named(install, tmp_path, name, text, message):
    files = {**FILES, **({f"{name}.yaml": text} if text else {})}
    install(mixers="", datasets=f"{name} = shiny", files=files)
    with pytest.raises(UserError) as error:
        load_manifest(tmp_path)
    assert all(part in str(error.value) for part in message), error.value
