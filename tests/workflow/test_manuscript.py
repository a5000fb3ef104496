"""Everything that people write or draw for the paper is an input of the PDF, so that an edit of it builds it again."""

import re

from checkout import ROOT, Checkout

#: published without DOI and without arXiv number
WITHOUT_NUMBER = {
    "krizhevsky2012alexnet",
    "howard2019imagewoof",
    "holm1979simple",
    "demsar2006comparisons",
    "pedregosa2011sklearn",
}


def test_a_figure_drawn_by_hand_is_an_input_of_the_pdf(tmp_path):
    checkout = Checkout(tmp_path)
    drawn = ["paper/drawings/setup.pdf", "paper/drawings/setup.png", "paper/house.bst", "paper/house.cls"]
    for name in drawn:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("by hand")
    (tmp_path / "paper/notes.txt").write_text("nothing that LaTeX reads")
    done = checkout.snakemake("--filegraph", "results/tiny/paper.pdf")
    assert done.returncode == 0, done.stdout
    written = set(re.findall(r"paper/[\w./]+", done.stdout))
    assert {*drawn, "paper/main.tex", "paper/latexmkrc"} <= written and "paper/notes.txt" not in written


def test_every_reference_is_cited_and_can_be_looked_up():
    text = "\n".join(path.read_text() for path in [*ROOT.glob("paper/**/*.tex"), *ROOT.glob("src/**/*.py")])
    text = re.sub(r"(?<!\\)%.*", "", text)
    cited = {
        key.strip()
        for keys in re.findall(r"\\cite[pt]?\*?(?:\[.*?\])*\{([\w,\s-]+)\}", text)
        for key in keys.split(",")
    }
    bibliography = (ROOT / "paper/references.bib").read_text()
    entries = dict(re.findall(r"^@\w+\{(\S+),\n(.*?)^\}", bibliography, re.MULTILINE | re.DOTALL))
    assert cited == set(entries) and len(entries) >= 30
    for key, entry in entries.items():
        fields = set(re.findall(r"^  (\w+) +=", entry, re.MULTILINE))
        assert fields >= {"title", "author", "year"}, key
        numbered = "doi" in fields or "arXiv:" in entry
        assert numbered != (key in WITHOUT_NUMBER), key
