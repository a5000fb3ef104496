"""Which class is taken for which: the confusion matrix of the best model on each data set."""

from collections.abc import Sequence
from typing import Any

from tokenmix.reporting.figures_style import grid, nothing, panel_title
from tokenmix.reporting.findings import main_metric
from tokenmix.reporting.inputs import Study, parsed
from tokenmix.reporting.names import enumerate_words, metric_name, row_text
from tokenmix.reporting.ranking import rank
from tokenmix.reporting.records import Cell, Table
from tokenmix.reporting.tex import escape
from tokenmix.rows import read_rows

#: classes up to which a panel shows names and shares
_LEGIBLE = 12


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


def confusion(study: Study) -> tuple[Any, str]:
    """One panel a data set of the first table: its best model by the main metric."""
    table = study.first_table
    metric = main_metric(table)
    multi = [name for name in table.datasets if study.card(name)["task"] == "multi-label"]
    best = {name: rank(study, table, name, metric).best for name in table.datasets if name not in multi}
    shown = {name: cell for name, cell in best.items() if cell}
    caption = (
        f"Confusion matrices on the test split, over all seeds, of the model with the highest {metric_name(metric)} on "
        f"each data set of Table~\\ref{{tab:{table.name}}}: in each row, the cases of one true class in percent by "
        "predicted class (blank: none)."
    )
    if multi:
        titles = escape(enumerate_words([study.title(name) for name in multi]))
        caption += f" Not shown: {titles}, whose labels do not exclude each other, so that none is taken for another."
    if not shown:
        return nothing("No model finished on a data set whose classes exclude each other."), caption
    figure, axes = grid(len(shown), 2.6, columns=2)
    for axis, (dataset, cell) in zip(axes, shown.items(), strict=False):
        _draw(axis, shares(study, table, dataset, cell), study.card(dataset)["classes"])
        axis.set_title(f"{panel_title(study.title(dataset), 40)}\n{panel_title(row_text(*cell.row), 40)}")
    if any(len(study.card(name)["classes"]) > _LEGIBLE for name in shown):
        caption += f" With more than {_LEGIBLE} classes: from white (none) to black (all), classes by number."
    return figure, caption


def _draw(axis: Any, matrix: Sequence[Sequence[float]], classes: Sequence[str]) -> None:
    axis.imshow(matrix, cmap="Greys", vmin=0, vmax=1)
    axis.grid(visible=False)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
    if len(classes) > _LEGIBLE:
        return
    small = 6 if len(classes) > 6 else 7
    names = [panel_title(name, 18) for name in classes]
    axis.set_xticks(range(len(classes)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=small)
    axis.set_yticks(range(len(classes)), names, fontsize=small)
    for true, row in enumerate(matrix):
        for predicted, share in enumerate(row):
            if share > 0:
                colour = "white" if share > 0.5 else "black"
                text = f"{100 * share:.0f}" if share >= 0.005 else "<1"
                axis.text(predicted, true, text, ha="center", va="center", fontsize=small, color=colour)
