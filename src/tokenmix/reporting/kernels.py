"""The main metric against the kernel: one row of panels a table, one panel a data set."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenmix.reporting.figures_style import TEXT_WIDTH, legend_below, look, nothing, panel_title, start
from tokenmix.reporting.findings import main_metric
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import metric_name, model_name, row_label
from tokenmix.reporting.records import Table, is_number
from tokenmix.reporting.tex import escape

#: panels in a row, and the height of one in inches
_COLUMNS, _HEIGHT = 5, 1.75
#: width between two kernels over which the mixers are spread
_DODGE = 0.62


@dataclass(frozen=True)
class Point:
    """One model in a panel: its value, and the ends of its bar."""

    model: str
    init: str
    value: float
    low: float
    high: float

    @property
    def kernel(self) -> int | None:
        """The kernel of the mixer; None where it has none."""
        return model_name(self.model).kernel

    @property
    def series(self) -> str:
        """Mixer and start in words: the models that a line joins."""
        return row_label(self.model, self.init)


@dataclass(frozen=True)
class Panel:
    """The points of one data set; `solid` tells whether the line between two of them is solid or dotted."""

    title: str
    points: tuple[Point, ...]
    solid: Callable[[Point, Point], bool]


def kernels(study: Study) -> tuple[Any, str]:
    """Main metric against kernel for each table in which a mixer stands with two kernels."""
    rows = {}
    for table in study.tables.values():
        panels = [_panel(study, table, dataset) for dataset in table.datasets]
        if any(_several_kernels(panel.points) for panel in panels):
            rows[f"{table.title}\n{metric_name(main_metric(table))}"] = panels
    caption = (
        "Score on the test split against the kernel of the token mixer, mean and standard deviation over seeds; none: "
        "mixers without a kernel. Within a kernel, mixers stand side by side for legibility. A line joins the "
        "kernels of one mixer: solid where the smallest and the largest differ significantly "
        f"({escape(study.test)}; level \\val{{study/level}}), dotted where they do not. "
        "Models with a diverged run and models with extensions are left out."
    )
    if not rows:
        return nothing("No table of this study has a mixer with two kernels."), caption
    figure, hollow = draw(rows)
    return figure, caption + (" Hollow markers: cold start." if hollow else "")


def _panel(study: Study, table: Table, dataset: str) -> Panel:
    metric = main_metric(table)
    points = tuple(
        Point(cell.model, cell.init, cell.mean, cell.mean - spread, cell.mean + spread)
        for cell in study.cells_of(table).values()
        if (cell.dataset, cell.metric) == (dataset, metric)
        and cell.row in table.rows
        and not cell.diverged
        and is_number(cell.mean)
        and not model_name(cell.model).extensions
        for spread in [cell.std if is_number(cell.std) else 0.0]
    )
    pairs = study.pairs_of(table)

    def differ(first: Point, last: Point) -> bool:
        pair = pairs.get((dataset, metric, (first.model, first.init), (last.model, last.init)))
        return pair is not None and pair.significant

    return Panel(study.title(dataset), points, differ)


def _several_kernels(points: Iterable[Point]) -> bool:
    return any(len({point.kernel for point in members}) > 1 for members in _series(points).values())


def _series(points: Iterable[Point]) -> dict[str, list[Point]]:
    series: dict[str, list[Point]] = {}
    for point in points:
        series.setdefault(point.series, []).append(point)
    return {name: sorted(members, key=lambda point: point.kernel or 0) for name, members in series.items()}


def draw(rows: Mapping[str, Sequence[Panel]]) -> tuple[Any, bool]:
    """Rows of panels by their y label, against kernels; returns the figure and whether it has a cold start."""
    lines = [
        (label, panels[start : start + _COLUMNS])
        for label, panels in rows.items()
        for start in range(0, len(panels), _COLUMNS)
    ]
    columns = max(len(panels) for _, panels in lines)
    figure = start()(figsize=(TEXT_WIDTH, _HEIGHT * len(lines) + 0.6))
    axes = figure.subplots(len(lines), columns, squeeze=False)
    handles: dict[str, Any] = {}
    for (label, panels), places in zip(lines, axes, strict=True):
        places[0].set_ylabel(label)
        for axis in places[len(panels) :]:
            axis.set_axis_off()
        found = [point for panel in rows[label] for point in panel.points]
        for axis, panel in zip(places, panels, strict=False):
            axis.set_title(panel_title(panel.title, 75 // columns))
            handles |= _draw(axis, panel, found)
    for axis in axes[-1]:
        axis.set_xlabel("kernel $k$")
    legend_below(figure, handles)
    return figure, any(point.init == "cold" for panels in rows.values() for panel in panels for point in panel.points)


def _draw(axis: Any, panel: Panel, of_row: Sequence[Point]) -> dict[str, Any]:
    """One panel with the places of its whole row; returns a handle for the legend of each series."""
    own = sorted({point.kernel for point in of_row if point.kernel is not None})
    places = [*own, *([None] if any(point.kernel is None for point in of_row) else [])]
    handles = {}
    for name, points in _series(panel.points).items():
        # side by side with those that have a kernel as well, or none as well
        side = list(dict.fromkeys(p.series for p in of_row if (p.kernel is None) == (points[0].kernel is None)))
        shift = (side.index(name) - (len(side) - 1) / 2) * _DODGE / len(side)
        style = look(points[0].model)
        if points[0].init == "cold":
            style["markerfacecolor"] = "white"
        colour, marker = style["color"], {"markersize": 3.5} | {k: v for k, v in style.items() if "marker" in k}
        x = [places.index(point.kernel) + shift for point in points]
        y = [point.value for point in points]
        line = "-" if len(points) > 1 and panel.solid(points[0], points[-1]) else ":"
        axis.plot(x, y, line, color=colour, lw=0.9, alpha=0.8)
        for at, point in zip(x, points, strict=True):
            axis.plot([at, at], [point.low, point.high], color=colour, lw=0.8)
        (dots,) = axis.plot(x, y, linestyle="", color=colour, **marker)
        handles[name] = dots
    for border in range(1, len(places)):
        axis.axvline(border - 0.5, color="0.9", lw=0.5, zorder=0)
    axis.grid(visible=False, axis="x")
    axis.set_xticks(range(len(places)), ["none" if kernel is None else str(kernel) for kernel in places])
    axis.set_xlim(-0.5, len(places) - 0.5)
    return handles
