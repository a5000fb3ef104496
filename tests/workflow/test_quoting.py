"""Every name that a user can choose: it is refused with one message, or it works and is nothing but a name.

The rules' commands are rendered by a dry run and then carried out by a shell in which `python` only notes how it
was called.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import ROOT, TINY, Checkout
from factories import image_folder

from tokenmix.cli import main
from tokenmix.data.register import register
from tokenmix.errors import UserError
from tokenmix.reporting.paper import _latexmk
from tokenmix.study.load import RESULT_FOLDERS, load_config
from tokenmix.study.manifest import load_manifest
from tokenmix.study.protocol import Training

COMMANDS = (
    "$(touch canary)",
    "`touch canary`",
    ";touch canary;",
    "&& touch canary",
    "| touch canary",
    "> canary",
    "'\"\\",
)
#: names of folders that a shell would misread, and that work
HOSTILE_FOLDERS = ("a b;touch canary;'c' & | > < * ? [d] # ! é 名", "x && touch canary", "it's")
REFUSED_FOLDERS = (
    "$(touch canary)",
    "`touch canary`",
    "a{b}",
    "{run}",
    "a:b",
    "a\nb",
    "a\tb",
    "-x",
    "--help",
    "~/x",
    'a"b',
    "a\\b",
)
TEXTS = " ".join(
    (*COMMANDS, r"\immediate\write18{touch canary} \input{/etc/passwd} $x^2$ %", "{wildcards.run} {0} {{", "\n é 名")
)

RECORDER = """\
#!{python}
import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    print(json.dumps([sys.argv[1:], os.environ.get("PYTHONPATH", "")]), file=file)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("quoting"))


def study(**changes) -> str:
    """The tiny study with other values."""
    return yaml.safe_dump({**yaml.safe_load(TINY), **changes}, allow_unicode=True)


def commands(checkout: Checkout, name: str) -> list[str]:
    """The shell commands of all jobs, as Snakemake would give them to the shell."""
    done = checkout.snakemake("-n", "-p", "all", study=name)
    assert done.returncode == 0, done.stdout[-3000:]
    assert not list(checkout.folder.rglob("canary"))
    return re.findall(r"Shell command: (.*?2>&1(?: \| tee \S+)?)$", done.stdout, flags=re.DOTALL | re.MULTILINE)


def calls(commands: list[str], folder: Path) -> list[tuple[list[str], str]]:
    """Arguments and PYTHONPATH of every call of python, when a shell carries the commands out in `folder`."""
    folder.mkdir()
    (folder / "bin").mkdir()
    recorder = folder / "bin" / "python"
    recorder.write_text(RECORDER.format(python=sys.executable))
    recorder.chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    handed = {"TOKENMIX_PLAN": "plan with blanks.json", "TOKENMIX_CODE": "code with blanks"}
    environment = {**os.environ, "PATH": path, "CALLS": str(folder / "calls"), **handed}
    for command in commands:
        log = next(Path(word) for word in shlex.split(command)[::-1] if word.startswith("logs/"))
        (folder / log).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=environment, check=True)
    assert {path.name for path in folder.iterdir()} == {"bin", "calls", "logs"}
    return [tuple(json.loads(line)) for line in (folder / "calls").read_text().splitlines()]


@pytest.fixture(scope="module")
def plain(checkout: Checkout) -> int:
    """The number of jobs of the study with ordinary names."""
    return len(commands(checkout, "tiny"))


@pytest.mark.parametrize("name", HOSTILE_FOLDERS)
def test_folders_reach_commands_as_one_argument(checkout: Checkout, plain: int, tmp_path: Path, name: str):
    checkout.study("named", study(results=f"{name}/results", data={"folder": f"{name}/data", "mirrors": [name]}))
    made = calls(commands(checkout, "named"), tmp_path / "shell")
    assert len(made) == plain > 5
    arguments = [argument for given, _ in made for argument in given]
    assert any(re.fullmatch(re.escape(f"{name}/data/") + r"phantom_tissue-16\.\w{8}", text) for text in arguments)
    assert any(text.startswith(f"{name}/results/plan/") and text.endswith(".json") for text in arguments)
    assert any(search.endswith(f"{name}/results/code/{Path(search).name}") for _, search in made)
    assert not {"touch", "canary", "b;touch"} & set(arguments)


def test_texts_never_reach_a_command(checkout: Checkout):
    tiny = yaml.safe_load(TINY)
    before = commands(checkout, "tiny")
    table = {**tiny["tables"]["classification_4t"], "caption": TEXTS}
    ladder = [rung.model_dump(exclude_none=True) for rung in Training().divergence.ladder]
    divergence = {"ladder": [{**rung, "mark": f"$`{number}", "note": TEXTS} for number, rung in enumerate(ladder)]}
    training = {**tiny["training"], "divergence": divergence}
    checkout.study("texts", study(title=TEXTS, tables={"classification_4t": table}, training=training))
    after = commands(checkout, "texts")
    assert sorted(after) == sorted(command.replace("tiny", "texts") for command in before)


@pytest.mark.parametrize("name", REFUSED_FOLDERS)
def test_folders_that_others_would_misread_are_refused(checkout: Checkout, name: str):
    checkout.study("refused", study(results=name, data={"folder": name, "mirrors": [name]}))
    with pytest.raises(UserError, match="mistakes in the config") as caught:
        load_config(checkout.folder, "refused")
    found = [line for line in str(caught.value).splitlines() if "cannot be used" in line]
    places = {line.split(": ")[1] for line in found}
    # a mirror may lie in a home
    assert places == {"results", "data.folder"} | ({"data.mirrors.0"} if not name.startswith("~") else set())


@pytest.mark.parametrize(
    "name", [*COMMANDS, "a b", "-x", ".hidden", "é", "a.b", "{run}", "a\nb", "x" * 80, *RESULT_FOLDERS]
)
def test_names_of_studies(checkout: Checkout, name: str):
    path = checkout.folder / "workflow/studies" / f"{name.replace('/', '')}.yaml"
    path.write_text(TINY)
    try:
        with pytest.raises(UserError, match=r"cannot name a study|unknown study"):
            load_config(checkout.folder, name)
    finally:
        path.unlink()


@pytest.mark.parametrize("section", ["tables", "datasets"])
@pytest.mark.parametrize(
    "name", [*COMMANDS, "a b", "-x", "A", "é", "../x", "a.b", "{run}", "a\nb", "a\n", "x" * 41, ""]
)
def test_names_of_tables_and_data_sets(checkout: Checkout, section: str, name: str):
    checkout.study(
        "named", study(**{section: {name: {"size": 28} if section == "datasets" else {"mixers": {"identity": None}}}})
    )
    with pytest.raises(UserError) as caught:
        load_config(checkout.folder, "named")
    assert "cannot be a name here" in str(caught.value)


def test_one_message_and_no_traceback_from_snakemake(checkout: Checkout):
    checkout.study("refused", study(results="$(touch canary)"))
    done = checkout.snakemake("-n", study="refused")
    assert done.returncode != 0 and "results: `$(touch canary)` cannot be used" in done.stdout
    assert "Traceback" not in done.stdout and not list(checkout.folder.rglob("canary"))


def test_names_on_the_command_line(checkout: Checkout):
    for study_name in ("$(touch canary)", "../tiny", "a b"):
        done = checkout.snakemake("-n", study=study_name)
        assert done.returncode != 0 and "unknown study" in done.stdout and "Traceback" not in done.stdout
    assert not list(checkout.folder.rglob("canary"))


# --- folders of images --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*COMMANDS, "-x", "A", "é", "../x", "a.b", " ", "a\n", "x" * 41])
def test_names_of_registered_folders(tmp_path: Path, name: str, capsys):
    image_folder(tmp_path / "images")
    assert (
        main(["data", "register", str(tmp_path / "images"), f"--name={name}", "--folder", str(tmp_path / "data")]) == 2
    )
    assert "cannot name a data set" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_classes_and_paths_of_registered_folders_are_kept_as_they_are(tmp_path: Path):
    names = [
        *(text.replace("/", "") for text in COMMANDS),
        "08",
        "1e3",
        "null",
        "true",
        "~",
        "- x",
        "a: b",
        "#",
        "é 名",
        "-rf",
        "[x]",
    ]
    root = image_folder(tmp_path / "$(touch canary) `touch canary` ;'\"", {"train": 2, "val": 1, "test": 1}, names)
    name, _ = register(root, None, tmp_path / "data")
    entry = load_manifest(tmp_path / "data")[name]
    assert (entry.classes, entry.path) == (sorted(names), str(root))
    arguments = [
        "data",
        "prepare",
        name,
        "--size",
        "16",
        "--folder",
        str(tmp_path / "data"),
        "--out",
        str(tmp_path / "out $x"),
    ]
    assert main(arguments) == 0
    assert json.loads((tmp_path / "out $x" / "card.json").read_text())["classes"] == sorted(names)
    assert not list(tmp_path.rglob("canary"))


@pytest.mark.parametrize("name", ["a\nb", "a\x1bb", b"\xff\xfe".decode("utf-8", "surrogateescape")])
def test_classes_that_cannot_be_written_down_are_refused(tmp_path: Path, name: str):
    root = image_folder(tmp_path / "images", {"train": 2, "val": 1, "test": 1}, ["a", name])
    with pytest.raises(UserError, match="cannot name a class"):
        register(root, "mine", tmp_path / "data")


# --- the rules and the manuscript -----------------------------------------------------------------------------


def test_every_word_of_a_rule_s_command_is_quoted():
    whole_numbers = {"{params.size}", "{threads}", "{resources.attempt}", "{resources.attempts_left}"}
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        text = path.read_text()
        commands = re.findall(r"^    shell:\n((?:        .*\n)+)", text, flags=re.MULTILINE)
        assert len(commands) == text.count("shell:"), f"{path.name} has commands that are not looked at"
        for command in commands:
            words = set(re.findall(r"(?<!\{)\{[^{}]+\}(?!\})", command)) - whole_numbers
            assert all(word.endswith(":q}") for word in words), (path.name, words)


@pytest.mark.skipif(not shutil.which("latexmk"), reason="LaTeX is not installed")
def test_a_manuscript_starts_no_program_and_writes_only_in_its_folder(tmp_path: Path):
    folder = tmp_path / "paper"
    folder.mkdir()
    shutil.copy(ROOT / "paper" / "latexmkrc", folder)
    (folder / "main.tex").write_text(
        "\\documentclass{article}\\begin{document}x\\immediate\\write18{touch canary}"
        "\\batchmode\\newwrite\\out\\immediate\\openout\\out=../canary \\immediate\\write\\out{x}\\end{document}\n"
    )
    _latexmk(folder, "")
    assert (folder / "main.log").is_file()
    assert not list(tmp_path.rglob("canary*"))
