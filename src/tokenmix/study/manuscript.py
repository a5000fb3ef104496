"""Which files below `paper/` are the manuscript: inputs of the PDF that people write or draw."""

#: how their names end; one list for the rule, which finds them in the plan, and for the build, which copies them
ENDINGS = (".tex", ".sty", ".cls", ".bib", ".bst", ".pdf", ".png", ".jpg", ".jpeg", "latexmkrc")
