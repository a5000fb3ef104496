"""Names of data sets and mixers are people's own: they must print as they are and never break the paper."""

import re
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from pdf import pdf_text

from tokenmix.reporting.latex_log import problems
from tokenmix.reporting.tex import breakable, escape, key, key_part

NASTY = [
    "100% of #1 & _x_",
    r"\input{secret} $a^b$ {~}",
    "a--b---c ``d'' <<e>> !`f ?`g ,,h",
    'say "hi" | `bye`',
    "Müller–Straße ±½ µ × − ≥ é ñ ø ÿ",
    "医療 Ω → ß",
    "tab\tnew\nline\x00\x07",
    "%",
    "\\",
    "^^M",
    "~",
    "",
]


@settings(deadline=None, max_examples=200)
@given(st.text())
def test_no_special_character_survives_escaping(text: str) -> None:
    escaped = escape(text)
    # take away the commands escaping itself writes; nothing with a meaning in TeX may be left
    rest = re.sub(r"\\(?:ensuremath\{\\[a-z]+\}|[A-Za-z]+\{\}|[{}$&#%_,])|\{\}|~", "", escaped)
    assert not set(rest) & set("\\{}$&#%_^~\n\t")


@settings(deadline=None, max_examples=200)
@given(st.text(), st.text())
def test_keys_are_safe_and_two_names_never_share_one(first: str, second: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._+=-]*", key_part(first))
    assert (key_part(first) == key_part(second)) == (first == second)


def test_ordinary_keys_stay_readable() -> None:
    expected = "auc/breastmnist-28/xs-tttt-local_attn5+slopes/scratch"
    assert key("auc", "breastmnist-28", "xs-tttt-local_attn5+slopes", "scratch") == expected


def test_nasty_text_is_typeset_without_a_complaint(tmp_path: Path) -> None:
    random_text = [chr(code) for code in range(1, 0x250)] + [chr(code) for code in range(0x370, 0x30000, 977)]
    lines = [*NASTY, *("".join(random_text[i : i + 20]) for i in range(0, len(random_text), 20))]
    body = "\n\n".join(f"\\noindent {escape(line)}|{breakable(line)}|" for line in lines)
    (tmp_path / "main.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{mathpazo,amsmath}"
        # the fonts of tokenmix.sty: a small TeX Live has no others
        "\\renewcommand*\\ttdefault{txtt}\\newcommand\\tmxbreak{\\hskip0pt}"
        f"\\begin{{document}}{body}\\end{{document}}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-file-line-error", "main.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, env={"PATH": "/usr/bin:/bin", "max_print_line": "9999"}
    )
    log = (tmp_path / "main.log").read_text(errors="replace")
    # lines of random characters have nowhere to break; that is no fault of the escaping
    assert [str(problem) for problem in problems(log) if "too wide" not in problem.text] == []
    assert done.returncode == 0
    shown = pdf_text(tmp_path / "main.pdf")
    assert "100% of #1 & _x_" in shown
    assert "a--b---c" in shown
    assert "[U+533B]" in shown
