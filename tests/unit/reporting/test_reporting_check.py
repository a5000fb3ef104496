"""The manuscript is checked before LaTeX starts: every key exists, no result is typed."""

from pathlib import Path

import pytest
from fake_studies import open_study

from tokenmix.cli import main
from tokenmix.files import write_atomic
from tokenmix.reporting import figures, tables, values
from tokenmix.reporting.check import manuscript_problems

MANUSCRIPT = Path(__file__).parents[3] / "paper"


@pytest.fixture
def check(tmp_path: Path):
    study = open_study(tmp_path)
    registry = values.write(study, study.paper)
    tables.write(study, "classification_4t", study.paper / "tables")
    figures.write(study, "mac_sizes", study.paper / "figures")
    # what an earlier build copied from a manuscript that has lost these files
    for copy in ("sections/copied.tex", "drawings/copied.pdf"):
        write_atomic(study.paper / copy, "")
    source = tmp_path / "paper"
    (source / "sections").mkdir(parents=True)

    def run(text: str) -> list[str]:
        (source / "sections/results.tex").write_text("first line\n" + text)
        return [str(problem).removeprefix(f"{source}/") for problem in manuscript_problems(source, study, registry)]

    return run


@pytest.mark.parametrize(
    "text",
    [
        r"\val{study/runs} runs, \valstd{auc/breastmnist-28/xs-tttt-conv3/scratch}",
        r"\studytable{classification_4t} \studyfigure{mac_sizes} \input{values}",
        r"width \vspace{0.5em} \includegraphics[width=0.48\linewidth]{figures/mac_sizes} \hspace*{1.5cm}",
        r"\parbox{0.3\textwidth}{text}",
        r"% a comment may say 0.912 or 93 %",
        r"published: 81.0\,\% top-1. % number: Yu et al. 2022, table 5",
        r"Section~\ref{sec:1.2}, \citep[p.~2.5]{keuth2025shaken}, $k \in \{3, 5, 7\}$",
        r"one of ten classes, $10^{-3}$, $3 \times 3$, $k \geq 3$, S12, v2, 3D, \texttt{b12}, COVID-19",
        r"\begin{tabular}{p{3cm}}\multicolumn{2}{c}{x}\cmidrule(lr){1-2}\end{tabular} \setcounter{page}{7} \\[2pt]",
        "a formula over two lines $k = 3,\nr = 1$ and\n\\begin{equation}\n  4nd^2 + 2 \n\\end{equation}",
    ],
)
def test_a_sound_line_passes(check, text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (r"\val{study/run}", "no value has the key study/run; the nearest are study/runs"),
        (r"\valcount{study/run}{run}", "no value has the key study/run; the nearest are study/runs"),
        (r"\valstd{study/runs}", "no value has the key study/runs/std"),
        (r"\val{auc/breastmnist-28/xs-tttt-conv3/scrach}", "auc/breastmnist-28/xs-tttt-conv3/scratch"),
        (
            r"\studytable{classification}",
            "no table is called classification; choose one of datasets, reported, switches, classification_4t",
        ),
        (r"\studytable{datasets}", "tokenmix report table datasets"),
        (r"\studyfigure{curves}", "tokenmix report figure curves"),
        (r"\studyfigure{curve}", "no figure is called curve"),
        (r"\input{sections/gone}", "sections/gone.tex is neither in"),
        (r"\input{sections/copied}", "sections/copied.tex is neither in"),
        (r"\includegraphics{drawings/copied}", "drawings/copied.pdf is neither in"),
        (r"an AUC of 0.912 was reached", "the number 0.912 is typed"),
        (r"an AUC of .912 was reached", "the number .912 is typed"),
        (r"in 93\,\% of cases", "the number 93\\,\\% is typed"),
        (r"it beats 12 of the others", "the number 12 is typed"),
        (r"with $n = 624$ cases", "the number 624 is typed"),
        (r"trained $27$ times", "the number 27 is typed"),
        (r"in more than $\geq 27$ cases", "the number 27 is typed"),
        (r"about $\approx 27\%$", "the number 27\\% is typed"),
        (r"1,024 models", "the number 1,024 is typed"),
        (r"where $\mathrm{AUC} = 0.912$", "the number 0.912 is typed"),
        ("\\begin{equation} x = 0.912 \\end{equation}", "the number 0.912 is typed"),
        (r"in 93.5\% of cases % number:", "is typed"),
        (r"an AUC-0.93 model", "the number 0.93 is typed"),
        (r"in $12/16$ cells", "the number 12/16 is typed"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(check, text: str, complaint: str) -> None:
    found = check(text)
    assert len(found) == 1
    assert found[0].startswith("sections/results.tex:2: ")
    assert complaint in found[0]


def test_a_file_of_the_manuscript_must_not_take_the_place_of_a_generated_one(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    registry = values.write(study, study.paper)
    for name in ("tables/datasets.tex", "figures/curves.pdf", "figures/mine.pdf", "sections/values.tex"):
        write_atomic(tmp_path / "paper" / name, "")
    found = [str(problem) for problem in manuscript_problems(tmp_path / "paper", study, registry)]
    remedy = f"is called as a generated file of {study.paper}; rename it"
    assert found == [f"{tmp_path}/paper/{name}: {remedy}" for name in ("figures/curves.pdf", "tables/datasets.tex")]


def test_lint_finds_typed_numbers_without_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "main.tex").write_text("\\val{no/such_key}\nfor 17 models\n")
    assert main(["report", "check", "--source", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path}/main.tex:2: the number 17 is typed" in error and "no/such_key" not in error
    assert main(["report", "check", "--source", str(MANUSCRIPT)]) == 0
