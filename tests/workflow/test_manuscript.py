"""Everything that people write or draw for the paper is an input of the PDF, so that an edit of it builds it again."""

import re

from checkout import Checkout


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
