"""The calls that README and docs/trace.md show are those that a reader of the embedded study can make."""

import importlib
import re
import shlex
import shutil
from pathlib import Path

import pytest
import traced_study

from tokenmix.cli import COMMANDS, main

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()


def calls(text: str) -> list[list[str]]:
    """The words of each call of `tokenmix` in the blocks of a text; what follows # is a comment."""
    return [shlex.split(line, comments=True)[1:] for line in re.findall(r"^ {4}(tokenmix .*)$", text, re.MULTILINE)]


def test_every_call_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = calls(README)
    assert len(shown) > 5
    for words in shown:
        monkeypatch.setattr(importlib.import_module(COMMANDS[words[0]][0]), "run", lambda _: 0)
        assert main(words) == 0, words


def test_every_number_of_the_embedded_study_leads_home(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "workflow/studies").mkdir(parents=True)
    shutil.copy(ROOT / "workflow/studies/demo.yaml", tmp_path / "workflow/studies")
    monkeypatch.chdir(tmp_path)
    study = traced_study.make(tmp_path, (ROOT / "config.yaml").read_text())
    assert study.name == "demo"
    shutil.copytree("results", "old_results")
    monkeypatch.setattr("tokenmix.reporting.provenance.audit_command.audit", lambda *_: [])
    block = README.partition("## Every number leads home")[2].partition("\n## ")[0]
    shown = calls(block) + calls((ROOT / "docs/trace.md").read_text())
    assert {words[0] for words in shown} == {"trace", "why", "audit", "diff"}
    for words in shown:
        capsys.readouterr()
        assert main(words) == 0, words
        if words[0] == "trace":
            assert "auc/phantom_tissue-28/xs-tttt-local_attn3/scratch = 0." in capsys.readouterr().out
