"""The manuscript is checked before LaTeX starts: every key exists, no result is typed."""

from pathlib import Path

import pytest
from fake_studies import open_study

from tokenmix.reporting import figures, tables, values
from tokenmix.reporting.check import manuscript_problems


@pytest.fixture
def check(tmp_path: Path):
    study = open_study(tmp_path)
    registry = values.write(study, study.paper)
    tables.write(study, "classification_4t", study.paper / "tables")
    figures.write(study, "mac_sizes", study.paper / "figures")
    source = tmp_path / "paper"
    (source / "sections").mkdir(parents=True)

    def run(text: str) -> list[str]:
        (source / "sections/results.tex").write_text("first line\n" + text)
        return [
            str(problem).removeprefix(f"{source}/")
            for problem in manuscript_problems(source, study.paper, study, registry)
        ]

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
        r"10 classes, $10^{-3}$, S12, v2",
    ],
)
def test_a_sound_line_passes(check, text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (r"\val{study/run}", "no value has the key study/run; the nearest are study/runs"),
        (r"\valstd{study/runs}", "no value has the key study/runs/std"),
        (r"\val{auc/breastmnist-28/xs-tttt-conv3/scrach}", "auc/breastmnist-28/xs-tttt-conv3/scratch"),
        (
            r"\studytable{classification}",
            "no table is called classification; choose one of datasets, reported, classification_4t",
        ),
        (r"\studytable{datasets}", "tokenmix report table datasets"),
        (r"\studyfigure{curves}", "tokenmix report figure curves"),
        (r"\studyfigure{curve}", "no figure is called curve"),
        (r"\input{sections/gone}", "sections/gone.tex is neither in"),
        (r"an AUC of 0.912 was reached", "the number 0.912 is typed"),
        (r"an AUC of .912 was reached", "the number .912 is typed"),
        (r"in 93\,\% of cases", "is typed"),
        (r"in 93.5\% of cases % number:", "is typed"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(check, text: str, complaint: str) -> None:
    found = check(text)
    assert len(found) == 1
    assert found[0].startswith("sections/results.tex:2: ")
    assert complaint in found[0]
