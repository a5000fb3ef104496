"""The PDF builds from the real manuscript for small and large studies, or one message says why not."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fake_studies import ALL_MODELS, MODELS, make_study
from pdf import pdf_jumps, pdf_text

from tokenmix.cli import main
from tokenmix.reporting.figures import FIGURES
from tokenmix.reporting.registry import Registry

MANUSCRIPT = Path(__file__).parents[3] / "paper"


def generate(path: Path, *, figures: bool = True) -> None:
    """Every generated file of a study."""
    tables = json.loads(path.read_text())["tables"]
    products = [["values"], ["claims"], ["runs"], *(["table", name] for name in ("datasets", "switches", *tables))]
    products += [["figure", name] for name in FIGURES if figures]
    for product in products:
        assert main(["report", *product, "--plan", str(path)]) == 0


def typeset(path: Path, source: Path = MANUSCRIPT) -> int:
    return main(["report", "pdf", "--plan", str(path), "--source", str(source)])


def pages(pdf: Path) -> list[str]:
    return pdf_text(pdf).rstrip("\f\n").split("\f")


def bookmarks(aux: Path) -> list[str]:
    """The titles of a PDF's outline: UTF-16 with octal escapes, in hexadecimal."""
    entries = re.findall(r"BKM@entry\{id=.*?\}\{([0-9A-F]+)\}", aux.read_text())
    escaped = [bytes.fromhex(entry).decode() for entry in entries]
    return [
        re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), text).encode("latin-1").decode("utf-16") for text in escaped
    ]


def small_manuscript(folder: Path, body: str) -> Path:
    """A manuscript with the real style and one page of text."""
    folder.mkdir()
    shutil.copy(MANUSCRIPT / "tokenmix.sty", folder)
    shutil.copy(MANUSCRIPT / "latexmkrc", folder)
    (folder / "main.tex").write_text(
        f"\\documentclass{{article}}\n\\usepackage{{tokenmix}}\n\\input{{values}}\n\\begin{{document}}\n{body}\n\\studyruns\n"
        "\\end{document}\n"
    )
    return folder


def test_one_phantom_data_set_with_one_seed_says_so_on_every_page(tmp_path: Path) -> None:
    path = make_study(tmp_path, datasets=("tissue",), models=MODELS[:5], seeds=(0,), diverged=(), phantoms=True)
    generate(path)
    assert typeset(path) == 0
    pdf = tmp_path / "results/fake/paper.pdf"
    for page in pages(pdf):
        assert "phantom images" in page
        assert "study fake, computed 2026-02-03" in page
        assert "0badcafe" in page
    told = "\n".join(pages(pdf))
    for heading in ("Introduction", "Related work", "Method", "Experiments", "Results", "Discussion", "Conclusion"):
        assert re.search(rf"^ *\d+ +{heading}", told, re.MULTILINE), heading
    # numbers lead to their lines in the appendix
    lines = {value.line for value in Registry.read(pdf.parent / "paper/values.json").values.values()}
    jumps = {line for line in pdf_jumps(pdf) if line.startswith("cell:")}
    assert jumps and jumps <= lines
    # the same files give the same bytes, wherever they lie
    shutil.copytree(tmp_path / "results", tmp_path / "other/results")
    elsewhere = tmp_path / "other/results/plan" / path.name
    elsewhere.write_text(path.read_text().replace(f"{tmp_path}/results", f"{tmp_path}/other/results"))
    assert typeset(elsewhere) == 0
    assert (tmp_path / "other/results/fake/paper.pdf").read_bytes() == pdf.read_bytes()


def test_six_data_sets_with_26_models_fit_the_page(tmp_path: Path) -> None:
    names = ("path", "derma", "pneumonia", "organs", "nodule", "my_folder")
    titles = {"my_folder": "A & B_50% of #1 {really} $long$ names ~ of \\data^sets from Zürich 医"}
    path = make_study(tmp_path, datasets=names, models=ALL_MODELS, diverged=(("path", ALL_MODELS[5]),), titles=titles)
    generate(path)
    assert typeset(path) == 0
    text = "\n".join(pages(tmp_path / "results/fake/paper.pdf"))
    assert "phantom images – not medical" not in text
    assert "A & B_50% of #1 {really} $long$" in re.sub(r"\s+", " ", text)
    assert "effect of the kernel size would appear there" in re.sub(r"\s+", " ", text)


def test_a_figure_of_each_table_is_continued_in_the_appendix(tmp_path: Path) -> None:
    base = {"datasets": ["breastmnist-28"], "metrics": ["auc"], "init": "scratch"}
    rows = {"one": MODELS[0], "two": MODELS[1], "three": MODELS[2]}
    tables = {name: {**base, "rows": [[model, "scratch"]]} for name, model in rows.items()}
    path = make_study(tmp_path, datasets=("breastmnist",), models=MODELS[:3], diverged=(), tables=tables)
    generate(path)
    assert typeset(path) == 0
    text = " ".join("\n".join(pages(tmp_path / "results/fake/paper.pdf")).split())
    heading = "Further tables and data sets in figures"
    here, further = text.index("Learning curves of Table 2: "), text.index("Learning curves of Table 4. Continues")
    assert here < text.index(heading) < further
    number = re.search(r"Figure (\d+)\. Learning curves of Table 2", text)
    last = re.search(r"Figure (\d+)\. Learning curves of Table 4\. Continues Figure (\d+)\.", text)
    assert number
    assert last
    assert last[2] == number[1]
    assert f"to {last[1]}." in text[here:]


def test_published_values_of_the_longest_model_names_fit_the_page(tmp_path: Path) -> None:
    models = ("s12-tttt-local_attn5", "s12-tttt-local_attn5+bilinear+coordmlp")
    titles = {"imagewoof": "The dogs of ImageWoof"}
    path = make_study(tmp_path, datasets=("imagewoof",), models=models, diverged=(), titles=titles, size=64)
    generate(path, figures=False)
    assert typeset(path, small_manuscript(tmp_path / "paper", "\\studytable{reported}")) == 0
    assert "bilinear patch" in pages(tmp_path / "results/fake/paper.pdf")[0]


def test_values_work_in_headings_captions_and_mathematics(tmp_path: Path) -> None:
    path = make_study(tmp_path, datasets=("breastmnist",), models=MODELS[:3], diverged=())
    generate(path, figures=False)
    value = "\\val{auc/breastmnist-28/xs-tttt-conv3/scratch}"
    body = (
        f"\\tableofcontents\\section{{Heading {value}}}Text {value} and $x = {value}$\n"
        f"\\begin{{table}}\\caption{{Caption {value}}}"
        f"\\begin{{tabular}}{{l}}Cell {value}\\\\\\end{{tabular}}\\end{{table}}"
        # what running heads and small capitals do to a title, and a value with its spread in one
        f"\\MakeUppercase{{Upper {value}}} \\subsection{{Spread {value.replace('val', 'valstd', 1)}}}"
        "\\valcount{training/warmup_epochs}{epoch} and \\valcount{training/threads}{thread}."
    )
    assert typeset(path, small_manuscript(tmp_path / "paper", body)) == 0
    folder = tmp_path / "results/fake"
    text = json.loads((folder / "paper/values.json").read_text())[value[5:-1]]["text"]
    first = " ".join(pages(folder / "paper.pdf")[0].split())
    for place, times in (("Heading", 2), ("Text", 1), ("x =", 1), ("Caption", 1), ("Cell", 1)):
        assert first.count(f"{place} {text}") == times
    assert f"UPPER {text}" in first
    assert "5 epochs and 1 thread." in first
    spread = json.loads((folder / "paper/values.json").read_text())[f"{value[5:-1]}/std"]["text"]
    assert {f"1 Heading {text}", f"1.1 Spread {text} ± {spread}"} <= set(bookmarks(folder / "paper/main.aux"))


def test_values_work_in_plain_latexmk(tmp_path: Path) -> None:
    path = make_study(tmp_path, datasets=("breastmnist",), models=MODELS[:3], diverged=())
    generate(path, figures=False)
    folder = tmp_path / "results/fake/paper"
    body = "\\section{Of \\val{study/runs} runs}Text \\valrange{auc/breastmnist-28/xs-tttt-conv3/scratch}."
    for file in small_manuscript(tmp_path / "paper", body).iterdir():
        shutil.copy(file, folder)
    done = subprocess.run(["latexmk", "main.tex"], cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Of 9 runs" in " ".join(pages(folder / "main.pdf")[0].split())


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("\\val{study/run}", "main.tex:5: no value has the key study/run; the nearest are study/runs"),
        ("See \\ref{sec:gone}.", "main.tex:5: Reference `sec:gone'"),
        ("\\mbox{\\rule{1.1\\linewidth}{1pt}}", "too wide"),
        ("\\undefined", "main.tex:5: Undefined control sequence"),
        ("Score 0.93", "main.tex:5: the number 0.93 is typed"),
    ],
)
def test_a_mistake_in_the_manuscript_is_one_message(
    body: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_study(tmp_path, datasets=("breastmnist",), models=MODELS[:2], diverged=())
    generate(path, figures=False)
    assert typeset(path, small_manuscript(tmp_path / "paper", body)) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert "Traceback" not in error
    assert not (tmp_path / "results/fake/paper.pdf").exists()


def test_what_is_deleted_from_the_manuscript_is_in_no_later_pdf(tmp_path: Path, capsys) -> None:
    path = make_study(tmp_path, datasets=("breastmnist",), models=MODELS[:2], diverged=())
    generate(path, figures=False)
    assert main(["report", "figure", "mac_sizes", "--plan", str(path)]) == 0
    body = "\\input{sections/claim} \\includegraphics[width=3cm]{drawings/sketch.png}\n\n\\input sections/plain"
    source, built = small_manuscript(tmp_path / "paper", body), tmp_path / "results/fake/paper"
    (source / "sections").mkdir()
    (source / "sections/claim.tex").write_text("All is well.")
    (source / "sections/plain.tex").write_text("So it is.")
    (source / "drawings").mkdir()
    shutil.copy(built / "figures/mac_sizes.png", source / "drawings/sketch.png")
    assert typeset(path, source) == 0
    assert "All is well." in pages(tmp_path / "results/fake/paper.pdf")[0]
    (source / "sections/claim.tex").unlink()
    (source / "drawings/sketch.png").unlink()
    assert typeset(path, source) == 2
    error = capsys.readouterr().err
    assert "main.tex:5: sections/claim.tex is neither in" in error and "drawings/sketch.png is neither in" in error
    # what the check does not understand, LaTeX does not find either
    (source / "sections/plain.tex").unlink()
    main_file = source / "main.tex"
    main_file.write_text(main_file.read_text().replace(body, "\\input sections/plain"))
    assert typeset(path, source) == 2
    assert "LaTeX is not content" in capsys.readouterr().err
    assert not list(built.glob("[sd]*/*")) and (built / "figures/mac_sizes.pdf").is_file()


def test_latex_itself_refuses_an_unknown_key(tmp_path: Path) -> None:
    path = make_study(tmp_path, datasets=("breastmnist",), models=MODELS[:2], diverged=())
    generate(path, figures=False)
    folder = tmp_path / "results/fake/paper"
    source = small_manuscript(tmp_path / "paper", "\\val{auc/nothing_here}")
    for file in source.iterdir():
        shutil.copy(file, folder)
    command = ["pdflatex", "-interaction=nonstopmode", "main.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode != 0
    assert "Unknown value 'auc/nothing_here'" in done.stdout


def test_without_latex_one_message_names_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_study(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert typeset(path) == 2
    error = capsys.readouterr().err
    for word in ("latexmk", "Debian", "Fedora", "macOS", "conda", "texlive-latex-recommended"):
        assert word in error
