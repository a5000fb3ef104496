"""The figures of the paper and their captions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import write_atomic
from tokenmix.reporting.confusion import confusion
from tokenmix.reporting.curves import curves
from tokenmix.reporting.diagram import ranks
from tokenmix.reporting.figures_style import (
    TEXT_WIDTH,
    grid,
    legend_below,
    look,
    panel_title,
    plain_log_axis,
    save,
    start,
)
from tokenmix.reporting.findings import main_metric
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.kernels import kernels
from tokenmix.reporting.names import MIXERS, metric_name, model_name, row_text
from tokenmix.reporting.parts import Part, floats_tex, part_of_each_table
from tokenmix.reporting.records import Table, is_number
from tokenmix.reporting.reported_figure import reported
from tokenmix.reporting.uplift_figure import uplift


def write(study: Study, name: str, out: Path) -> None:
    """Write `<out>/<name>.pdf`, `.png` and `.tex` (floats with captions); UserError for an unknown name."""
    if name not in FIGURES:
        raise UserError(f"no figure is called {name}; choose one of {', '.join(FIGURES)}")
    drawn = FIGURES[name](study)
    parts = drawn if isinstance(drawn, list) else [drawn]
    save([figure for figure, _ in parts], out / name)
    remark = " Phantom images, not medical results." if study.phantoms and not name.startswith("mac_") else ""
    write_atomic(out / f"{name}.tex", floats_tex(name, parts, remark))


def mac_mixers(study: Study) -> tuple[Any, str]:
    """Multiply-adds of one mixer layer against its kernel, one panel a stage."""
    rows = study.profile("mixers")
    stages = sorted({int(row["stage"]) for row in rows})
    if not stages:
        raise UserError(
            f"{study.folder}/profile/mixers.csv holds no mixer; the figure needs the profile of at least one"
        )
    figure = start()(figsize=(TEXT_WIDTH, 2.6))
    axes = figure.subplots(1, len(stages), sharey=True, squeeze=False)[0]
    kernels = sorted({int(row["kernel"]) for row in rows if row["kernel"]})
    handles: dict[str, Any] = {}
    for axis, stage in zip(axes, stages, strict=True):
        here = [row for row in rows if int(row["stage"]) == stage]
        for mixer in dict.fromkeys(row["mixer"] for row in here):
            points = [(row["kernel"], float(row["macs"]) / 1e9) for row in here if row["mixer"] == mixer]
            if not any(macs > 0 for _, macs in points):
                continue  # identity costs nothing, which no logarithmic axis shows
            if points[0][0]:
                x = [int(kernel) for kernel, _ in points]
                y = [macs for _, macs in points]
                (line,) = axis.plot(x, y, **look(mixer))
            else:
                # no kernel: the same cost at each
                style = {**look(mixer), "markevery": max(1, len(kernels) - 1)}
                (line,) = axis.plot(kernels, [points[0][1]] * len(kernels), **style)
            handles.setdefault(MIXERS.get(mixer, mixer.replace("_", " ")), line)
        axis.set_yscale("log")
        axis.set_title(f"stage {stage}\n{here[0]['dim']} channels, {here[0]['grid']}×{here[0]['grid']}")
        axis.set_xticks(kernels)
        axis.set_xlabel("kernel $k$")
    axes[0].set_ylabel("MACs of one layer (G)")
    legend_below(figure, handles)
    return figure, (
        "Multiply-adds (MACs) of one token-mixer layer against its kernel, in each stage of S12 "
        f"for images of {study.index['profile']['mac_image_size']} pixels a side (logarithmic axis). "
        "Mixers without a kernel are level; identity needs none and is not shown."
    )


def mac_sizes(study: Study) -> tuple[Any, str]:
    """Multiply-adds of the first table's models against the edge of the image."""
    table = study.first_table
    rows = [row for row in study.profile("sizes") if row["model"] in dict(table.rows)]
    figure = start()(figsize=(TEXT_WIDTH, 2.9))
    axis = figure.subplots()
    hollow = _spread_kernels([row["model"] for row in rows])
    for model in dict.fromkeys(row["model"] for row in rows):
        points = sorted((int(row["image_size"]), float(row["macs"]) / 1e9) for row in rows if row["model"] == model)
        style = {**look(model), **hollow.get(model, {})}
        axis.plot([size for size, _ in points], [macs for _, macs in points], label=model_name(model).text, **style)
    sizes = sorted({int(row["image_size"]) for row in rows})
    axis.set_xscale("log", base=2)
    plain_log_axis(axis)
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.set_xlabel("edge of the image (pixels)")
    axis.set_ylabel("MACs of the model (G)")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=1 if len(axis.lines) <= 14 else 2)
    return figure, (
        f"Multiply-adds (MACs) of the models of Table~\\ref{{tab:{table.name}}} for one image against the edge of the "
        "image (both axes logarithmic). Hollow "
        "markers: smaller kernels of the same mixer."
    )


def _spread_kernels(models: list[str]) -> dict[str, dict[str, Any]]:
    """Paler lines and hollow markers for all but the largest kernel of a mixer."""
    largest: dict[str, int] = {}
    for name in map(model_name, models):
        largest[name.mixer] = max(largest.get(name.mixer, 0), name.kernel or 0)
    names = {model: model_name(model) for model in models}
    return {
        model: {"markerfacecolor": "white", "alpha": 0.75}
        for model, name in names.items()
        if (name.kernel or 0) < largest[name.mixer]
    }


def scores(study: Study) -> list[Part]:
    """Score of each model with its interval, and each seed, one panel a data set."""
    return part_of_each_table(
        study,
        _scores,
        "Scores on the test split",
        "mean over seeds (marker), its \\val{study/level} bootstrap interval over test cases (bar), and single seeds "
        "(ticks). Hollow markers: a training diverged.",
    )


def _scores(study: Study, table: Table) -> Any:
    metric = main_metric(table)
    figure, axes = grid(len(table.datasets), 0.75 + 0.135 * len(table.rows), share_y=True)
    runs = {dataset: study.seed_values(table, dataset, metric) for dataset in table.datasets}
    for axis, dataset in zip(axes, table.datasets, strict=False):
        for place, (model, init) in enumerate(table.rows):
            cell = study.cells_of(table).get((dataset, model, init, metric))
            if cell is None or not is_number(cell.mean):
                continue
            style = look(model)
            colour = style["color"]
            axis.plot([cell.low, cell.high], [place, place], color=colour, lw=1.3, solid_capstyle="butt")
            seeds = [runs[dataset][run] for run in cell.runs if run in runs[dataset]]
            axis.plot(seeds, [place] * len(seeds), "|", color="black", ms=5, mew=0.6)
            face = "white" if cell.diverged else colour
            axis.plot([cell.mean], [place], style["marker"], color=colour, markerfacecolor=face, ms=4.5)
        axis.set_title(panel_title(study.title(dataset)))
        axis.set_xlabel(metric_name(metric))
        axis.set_yticks(range(len(table.rows)), [row_text(*row) for row in table.rows])
        axis.set_ylim(len(table.rows) - 0.4, -0.6)
    return figure


FIGURES: dict[str, Callable[[Study], Part | list[Part]]] = {
    "mac_mixers": mac_mixers,
    "mac_sizes": mac_sizes,
    "curves": curves,
    "scores": scores,
    "confusion": confusion,
    "kernels": kernels,
    "uplift": uplift,
    "ranks": ranks,
    "reported": reported,
}
