"""Learning curves: validation scores over iterations, a part for each table."""

import statistics
from typing import Any

from tokenmix.reporting.figures_style import grid, legend_below, look_of_row, panel_title
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import row_label
from tokenmix.reporting.parts import Part, part_of_each_table
from tokenmix.reporting.records import Row, Table, is_number


def curves(study: Study) -> list[Part]:
    """Validation macro F1 over iterations, mean and range over seeds, one panel a data set."""
    return part_of_each_table(
        study,
        _draw,
        "Learning curves",
        "macro F1 on the validation split, mean (line) and range (band) over seeds. For a mixer with several kernels, "
        "the kernel with the best validation score on the data set is shown.",
    )


def _draw(study: Study, table: Table) -> Any:
    panels = [(dataset, _representatives(study, table, dataset)) for dataset in table.datasets]
    figure, axes = grid(len(panels), 2.3)
    handles: dict[str, Any] = {}
    for axis, (dataset, rows) in zip(axes, panels, strict=False):
        for row in rows:
            series = [study.history(run) for run in study.runs_of(table, dataset, row)]
            iterations, values = _common(series)
            if not iterations:
                continue  # diverged before its first validation
            style = {**look_of_row(*row), "markevery": max(1, len(iterations) // 6)}
            (line,) = axis.plot(iterations, [statistics.fmean(v) for v in values], **style)
            axis.fill_between(
                iterations,
                [min(v) for v in values],
                [max(v) for v in values],
                alpha=0.15,
                lw=0,
                color=style["color"],
            )
            handles.setdefault(row_label(*row), line)
        axis.set_title(panel_title(study.title(dataset)))
        axis.set_xlabel("iteration")
        axis.set_ylabel("validation macro F1")
    legend_below(figure, handles)
    return figure


def _representatives(study: Study, table: Table, dataset: str) -> list[Row]:
    """One row a mixer and start: the kernel whose mean best validation F1 is highest (the test split has no say)."""
    best: dict[str, tuple[float, Row]] = {}
    for row in table.rows:
        peaks = []
        for run in study.runs_of(table, dataset, row):
            values = [float(point["val_f1_macro"] or "nan") for point in study.history(run)]
            peaks += [max(filter(is_number, values), default=0.0)]
        mean = statistics.fmean(peaks) if peaks else -1.0
        label = row_label(*row)
        if label not in best or mean > best[label][0]:
            best[label] = (mean, row)
    return [row for _, row in best.values()]


def _common(series: list[list[dict[str, str]]]) -> tuple[list[int], list[list[float]]]:
    """Iterations at which some seed was validated and, for each, the macro F1 of the seeds.

    A seed that a remedy trained is validated at other iterations: between its own validations it is on the line that
    joins them, and it counts from its first number to its last.
    """
    import numpy as np  # LaTeX's environment knows the names of figures and has none

    seeds = []
    for rows in series:
        points = {int(row["iteration"]): float(row["val_f1_macro"] or "nan") for row in rows}
        if points := {iteration: value for iteration, value in sorted(points.items()) if is_number(value)}:
            seeds.append(points)
    iterations = sorted(set().union(*seeds))
    return iterations, [
        [float(np.interp(at, [*points], [*points.values()])) for points in seeds if min(points) <= at <= max(points)]
        for at in iterations
    ]
