"""What a reader sees of claims in the PDF, and what the build does where one fails."""

import json
import re
import shutil
from pathlib import Path

import pytest
from fake_studies import MODELS, make_study
from pdf import pdf_links, pdf_text

from tokenmix.cli import main

MANUSCRIPT = Path(__file__).parents[3] / "paper"
FIELDS = "table: classification_4t, kind: better"
CLAIMS = f"""\
right: {{sentence: It is so, {FIELDS}, model: pooling3, than: [identity]}}
wrong: {{sentence: "100% of A_B & {{C}} are #1 for $", {FIELDS}, model: identity, than: [pooling3]}} # number: hostile
open: {{{FIELDS}, model: conv9, than: [pooling3], undecided: Nobody knows}}
given: {{{FIELDS}, model: pooling3, than: [full_attn]}}
vague: {{sentence: Perhaps, {FIELDS}, model: local_attn7, than: [pooling3]}}
"""
BODY = r"""\section{On \claim{right}}
\claim{right}. \claim{wrong}. \claim{open}. \claim{vague}, and
\claim{given}{with $k^2$ and \val{study/runs} runs, it \emph{holds}}. Again \claim{right}.
\begin{table}\caption{Caption: \claim{right}}\end{table}
\section{Evidence}\studyclaims
"""


def built(root: Path, body: str = BODY, claims: str = CLAIMS) -> tuple[Path, int]:
    """A study's index and the status of building a small manuscript in `root`/paper."""
    titles = {"breastmnist": "Ultra_sound & 50% {more}"}
    index = make_study(root, models=MODELS[:7], diverged=(), datasets=("breastmnist",), titles=titles)
    source = root / "paper"
    source.mkdir()
    for name in ("tokenmix.sty", "latexmkrc"):
        shutil.copy(MANUSCRIPT / name, source)
    (source / "claims.yaml").write_text(claims)
    (source / "main.tex").write_text(
        "\\documentclass{article}\n\\usepackage{tokenmix}\n\\input{values}\\input{claims}\n\\begin{document}\n"
        f"{body}\n\\studyruns\n\\end{{document}}\n"
    )
    assert main(["report", "values", "--plan", str(index)]) == 0
    assert main(["report", "claims", "--plan", str(index), "--source", str(source)]) == 0
    assert main(["report", "runs", "--plan", str(index)]) == 0
    return index, main(["report", "pdf", "--plan", str(index), "--source", str(source)])


def test_the_pdf_shows_what_became_of_each_claim(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index, status = built(tmp_path)
    assert status == 0, capsys.readouterr().err
    text = " ".join(pdf_text(tmp_path / "results/fake/paper.pdf").split())
    assert "It is so" in text
    assert "100% of A_B & {C} are #1 for $ [refuted]" in text
    assert "Nobody knows" in text and "Nobody knows [undecided]" not in text
    assert "Perhaps [undecided]" in text
    assert re.search(r"with k ?2 and 21 runs, it holds", text)
    # the evidence: where in the text, why not, and numbers
    assert "right, page 1: holds. It is so." in text
    assert "the table classification_4t has no convolution 9×9" in text
    assert re.search(
        r"pooling 3×3 − identity \(Ultra_sound & 50% \{more\} 0\.\d{3}\) 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", text
    )

    # each claim leads to its place in the page of results
    pages = {link for link in pdf_links(tmp_path / "results/fake/paper.pdf") if "claim=" in link}
    assert pages == {f"report.html#claim={key}" for key in ("right", "wrong", "open", "given", "vague")}

    # the evidence leads back (a link without its target would have stopped the build)
    folder = tmp_path / "results/fake/paper"
    for key in ("right", "wrong", "open", "given", "vague"):
        assert f"\\newlabel{{claimed:{key}}}" in (folder / "main.aux").read_text()

    # only now does it fail, and names what does
    capsys.readouterr()
    assert main(["report", "judge", "--plan", str(index)]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path}/paper/claims.yaml:2: wrong: 100% of A_B & {{C}} are #1 for $" in error
    assert "contradict 1 of the paper's 5 claims" in error and "right" not in error
    assert not (folder / "judgement.txt").exists()

    content = json.loads(index.read_text())
    index.write_text(json.dumps({**content, "claims": {"may_fail": True}}))
    assert main(["report", "judge", "--plan", str(index)]) == 0
    assert "2 holds, 1 fails, 2 undecided; allowed to fail" in (folder / "judgement.txt").read_text()


def test_red_is_on_the_page(tmp_path: Path) -> None:
    """In uncompressed page streams: the colour of what fails, only where something does."""
    for name, body, red in (("failing", r"\claim{wrong}.", True), ("holding", r"\claim{right}.", False)):
        root = tmp_path / name
        root.mkdir()
        claims = CLAIMS.splitlines()[1 if red else 0]
        _, status = built(
            root,
            "\\pdfcompresslevel=0\\pdfobjcompresslevel=0 % number: settings of pdfTeX\n" + body + "\\studyclaims",
            claims,
        )
        assert status == 0
        assert (b"0.8 0.05 0.05 rg" in (root / "results/fake/paper.pdf").read_bytes()) is red


def test_unknown_keys_stop_the_build_and_name_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, status = built(tmp_path, r"\claim{rihgt}")
    assert status == 2
    assert "main.tex:5: no claim has the key rihgt; the nearest are right" in capsys.readouterr().err
    assert not (tmp_path / "results/fake/paper.pdf").exists()


def test_a_paper_without_claims(tmp_path: Path) -> None:
    _, status = built(tmp_path, "Nothing is claimed. \\studyclaims", claims="")
    assert status == 0
    assert "makes no claims" in pdf_text(tmp_path / "results/fake/paper.pdf")
