"""Which class is taken for which: the confusion matrix of the best model on each data set, over all tables."""

from collections.abc import Sequence
from typing import Any

from tokenmix.reporting.figures_style import grid, nothing, panel_title
from tokenmix.reporting.findings import best_of_study
from tokenmix.reporting.inputs import Study, parsed
from tokenmix.reporting.names import enumerate_words, metric_name, row_text
from tokenmix.reporting.parts import Part
from tokenmix.reporting.records import Cell, Table
from tokenmix.reporting.tex import escape
from tokenmix.rows import read_rows

#: classes up to which a panel shows names and shares
_LEGIBLE = 12
#: panels of one part
_PANELS = 6


def shares(study: Study, table: Table, dataset: str, cell: Cell) -> list[list[float]]:
    """Share of the cases of each true class (rows) by predicted class, over the seeds of a cell; NaN: no case."""
    path = study.folder / "metrics" / table.name / f"{dataset}.confusion.csv"
    classes = len(study.card(dataset)["classes"])
    counts = [[0] * classes for _ in range(classes)]

    def add(row: dict[str, str]) -> None:
        if (row["model"], row["init"]) == cell.row:
            true, predicted = int(row["true"]), int(row["predicted"])
            if not (0 <= true < classes and 0 <= predicted < classes):
                raise ValueError(f"class {true} or {predicted} of {classes}")
            counts[true][predicted] = int(row["cases"])

    parsed(path, read_rows(path), add)
    return [[count / sum(row) if sum(row) else float("nan") for count in row] for row in counts]


def confusion(study: Study) -> list[Part]:
    """One panel a data set: its best model by the main metric over all tables, six to a part."""
    datasets = [name for name in study.datasets if any(name in table.datasets for table in study.tables.values())]
    multi = [name for name in datasets if study.card(name)["task"] == "multi-label"]
    best = {name: best_of_study(study, name) for name in datasets if name not in multi}
    shown = [(name, *found) for name, found in best.items() if found]
    metrics = " or ".join(dict.fromkeys(metric_name(cell.metric) for _, _, cell in shown))
    caption = (
        "Confusion matrices on the test split, over all seeds, of the model with the highest "
        f"{metrics} on each data set, and the table it stands in: in each row, the cases of one true class in "
        "percent by predicted class (blank: none)."
    )
    if multi:
        titles = escape(enumerate_words([study.title(name) for name in multi]))
        caption += f" Not shown: {titles}, whose labels do not exclude each other, so that none is taken for another."
    if not shown:
        return [(nothing("No model finished on a data set whose classes exclude each other."), caption)]
    if any(len(study.card(name)["classes"]) > _LEGIBLE for name, _, _ in shown):
        caption += f" With more than {_LEGIBLE} classes: from white (none) to black (all), classes by number."
    parts = []
    for start in range(0, len(shown), _PANELS):
        here = shown[start : start + _PANELS]
        figure, axes = grid(len(here), 2.75, columns=2)
        for axis, (dataset, table, cell) in zip(axes, here, strict=False):
            _draw(axis, shares(study, table, dataset, cell), study.card(dataset)["classes"])
            lines = (study.title(dataset), row_text(*cell.row), table.title)
            axis.set_title("\n".join(panel_title(line, 40) for line in lines))
        parts.append((figure, "Confusion matrices of further data sets." if start else caption))
    return parts


def _draw(axis: Any, matrix: Sequence[Sequence[float]], classes: Sequence[str]) -> None:
    axis.imshow(matrix, cmap="Greys", vmin=0, vmax=1)
    axis.grid(visible=False)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
    if len(classes) > _LEGIBLE:
        return
    small = 6 if len(classes) > 6 else 7
    names = [panel_title(name, 22) for name in classes]
    axis.set_xticks(range(len(classes)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=small)
    axis.set_yticks(range(len(classes)), names, fontsize=small)
    for true, row in enumerate(matrix):
        for predicted, share in enumerate(row):
            if share > 0:
                colour = "white" if share > 0.5 else "black"
                text = f"{100 * share:.0f}" if share >= 0.005 else "<1"
                axis.text(predicted, true, text, ha="center", va="center", fontsize=small, color=colour)
