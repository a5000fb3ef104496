"""Uplift by pretraining against the kernel, in the layout of scores against the kernel."""

from collections.abc import Iterable
from typing import Any

from tokenmix.reporting.figures_style import nothing
from tokenmix.reporting.formats import setting
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.kernels import Panel, Point, draw
from tokenmix.reporting.names import enumerate_words, metric_name, row_label
from tokenmix.reporting.tex import escape
from tokenmix.reporting.uplift import Uplift, differences, uplifts

#: the metric of the figure; values of the others are in the registry
METRIC = "auc"


def uplift(study: Study) -> tuple[Any, str]:
    """Uplift against the kernel for each table with pretrained models that were trained from scratch, too."""
    found = uplifts(study)
    rows, shown = {}, []
    for table in study.tables.values():
        panels = []
        for dataset in table.datasets:
            keys = [(dataset, *row, METRIC) for row in table.rows]
            here = [found[at] for at in keys if at in found]
            shown += here
            points = tuple(
                Point(each.pretrained.model, each.pretrained.init, each.percent, each.low, each.high) for each in here
            )
            panels += [Panel(study.title(dataset), points, lambda *_: True)] if points else []
        if panels:
            rows[f"{table.title}\nuplift (%)"] = panels
    caption = (
        f"Uplift by pretraining: change of the {metric_name(METRIC)} on the test split in percent of the mean of the "
        "same model from scratch, on the same data set at the same size, against the kernel. Bars: \\val{study/level} "
        "intervals over seeds (delta method, Welch's degrees of freedom), where both were trained more than once. "
        "Cells with a diverged run are left out."
    )
    if not rows:
        return nothing("No model of this study was trained both pretrained and from scratch."), caption
    figure, hollow = draw(rows)
    for axis in figure.axes:
        axis.axhline(0, color="0.5", lw=0.7, zorder=1)
    return figure, caption + (" Hollow markers: cold start." if hollow else "") + _baselines(study, shown)


def _baselines(study: Study, shown: Iterable[Uplift]) -> str:
    """Sentences on the baseline: where it is the matched network, and what still differs, such as the learning rate."""
    found: dict[str, dict[str, None]] = {}
    matched: dict[str, None] = {}
    for each in shown:
        label = row_label(*each.pretrained.row)
        if each.scratch.init == "matched":
            matched[label] = None
        for name, ours, scratch in differences(study, each.pretrained, each.scratch):
            words = f"{name.replace('_', ' ')} {setting(ours)} against {setting(scratch)} from scratch"
            found.setdefault(words, {})[label] = None
    text = ""
    if matched:
        labels = escape(enumerate_words(list(matched)))
        text = f" The model from scratch has the norm and the heads of the published weights ({labels})."
    parts = [f"{words} ({enumerate_words(list(labels))})" for words, labels in found.items()]
    return text + (f" Not alike on both sides: {escape('; '.join(parts))}." if parts else "")
