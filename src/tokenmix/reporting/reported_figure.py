"""Reported against reproduced values as a scatter plot."""

from typing import Any

from tokenmix.reporting.figures_style import TEXT_WIDTH, look, nothing, start
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import metric_name, model_name
from tokenmix.reporting.reported import comparisons_of


def reported(study: Study) -> tuple[Any, str]:
    """One panel a metric; each point a published value and our cell, on the diagonal where they agree."""
    compared = comparisons_of(study)
    metrics = list(dict.fromkeys(entry.metric for entry in compared))
    if not metrics:
        reason = "Nothing to compare: this study ran no published cell."
        return nothing(reason), reason
    columns = 3 if len(metrics) in (3, 5, 6) else min(2, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = start()(figsize=(min(TEXT_WIDTH, 2.6 * columns + 0.4), 2.4 * rows + 0.5))
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axis in axes[len(metrics) :]:
        axis.set_axis_off()
    handles: dict[str, Any] = {}
    for axis, metric in zip(axes, metrics, strict=False):
        here = [entry for entry in compared if entry.metric == metric]
        values = [number for entry in here for number in (entry.reported, entry.low, entry.high)]
        margin = 0.05 * (max(values) - min(values)) or 0.05
        limits = (min(values) - margin, max(values) + margin)
        axis.plot(limits, limits, color="0.6", lw=0.8, zorder=0)
        for entry in here:
            style = look(entry.model)
            bar = [entry.low, entry.high]
            axis.plot([entry.reported] * 2, bar, color=style["color"], lw=0.7, alpha=0.6, zorder=1)
            face = style["color"] if entry.alike else "white"
            point = {"marker": style["marker"], "color": style["color"], "markerfacecolor": face, "ms": 4}
            (dot,) = axis.plot([entry.reported], [entry.reproduced], linestyle="", **point)
            handles.setdefault(model_name(entry.model).label.partition(" + ")[0], dot)
        axis.set_xlim(limits)
        axis.set_ylim(limits)
        axis.set_aspect("equal")
        axis.set_title(metric_name(metric))
        axis.set_xlabel("reported")
        axis.set_ylabel("reproduced")
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(4, len(handles)))
    return figure, (
        "Reported against reproduced scores on the test split, with the \\val{study/level} bootstrap interval of ours "
        "over test cases (bars); on the line they agree. Hollow markers: our images have another size than "
        "the published ones."
    )
