"""The critical-difference diagram: average places over data sets, and which of them are told apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenmix.reporting.figures_style import TEXT_WIDTH, nothing, panel_title, start
from tokenmix.reporting.findings import main_metric
from tokenmix.reporting.inputs import Study, parsed
from tokenmix.reporting.names import metric_name, row_text
from tokenmix.reporting.records import Table, is_number
from tokenmix.reporting.tex import escape
from tokenmix.rows import read_rows

#: inches: a row of names, and what stands above the first one
_ROW, _HEAD = 0.17, 0.95
#: rows between two bars
_BAR = 0.4
#: inches that a letter of a name takes at most, and the longest name in letters
_LETTER, _LONGEST = 0.055, 38


@dataclass(frozen=True)
class Rank:
    """One model over the data sets of a table; the last four are the same for all models of the table."""

    model: str
    init: str
    relative: float
    place: float
    models: int
    datasets: int
    friedman: float
    difference: float


def ranks_of(study: Study, table: Table, metric: str) -> list[Rank]:
    """The models that stand on every data set of a table, from the first place to the last."""
    path = study.folder / "metrics" / table.name / "ranks.csv"
    rows = parsed(path, read_rows(path), lambda row: (row["metric"], _rank(row)))
    ranked = [rank for name, rank in rows if name == metric and is_number(rank.place)]
    return sorted(ranked, key=lambda rank: rank.place)


def _rank(row: dict[str, str]) -> Rank:
    return Rank(
        row["model"],
        row["init"],
        float(row["relative_rank"]),
        float(row["average_place"]),
        int(row["compared_models"]),
        int(row["compared_datasets"]),
        float(row["friedman_p"]),
        float(row["critical_difference"]),
    )


def groups(places: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """First and last of each longest run of sorted `places` that lie within `difference`; single places form none."""
    found: list[tuple[int, int]] = []
    for first, place in enumerate(places):
        last = max(number for number, other in enumerate(places) if other - place <= difference)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def ranks(study: Study) -> tuple[Any, str]:
    """One diagram for each table in which two models finished on every data set."""
    found = [(table, ranks_of(study, table, main_metric(table))) for table in study.tables.values()]
    panels = [(table, ranked) for table, ranked in found if len(ranked) > 1]
    rows = [math.ceil(len(ranked) / 2) + _BAR * len(_joined(ranked)) for _, ranked in panels]
    if not panels:
        reason = "No two models finished on every data set of a table."
        return nothing(reason), reason
    heights = [_HEAD + _ROW * number for number in rows]
    figure = start()(figsize=(TEXT_WIDTH, sum(heights)))
    axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights}).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (table, ranked) in zip(axes, panels, strict=False):
        _draw(axis, ranked)
        first = ranked[0]
        plural = "s" if first.datasets > 1 else ""
        tested = f"{metric_name(main_metric(table))}, {first.datasets} data set{plural}, Friedman {_p(first.friedman)}"
        axis.set_title(panel_title(f"{table.title}: {tested}", limit=100))
    words = sorted({metric_name(main_metric(table)) for table, _ in panels})
    return figure, (
        f"Average places over the data sets of a table by {escape(' or '.join(words))} (1: the best on each). "
        "A bar joins models that Nemenyi's test does not tell apart: their places lie within the critical difference "
        "(CD, level \\val{study/level}). In brackets the relative rank by significant wins, from 0.1 to 1, geometric "
        "mean over data sets. Baselines, models with a diverged run, and those that compute what another row does, "
        "take no part."
    )


def _joined(ranked: Sequence[Rank]) -> list[tuple[int, int]]:
    return groups([rank.place for rank in ranked], ranked[0].difference)


def _draw(axis: Any, ranked: Sequence[Rank]) -> None:
    """The scale on top, names at both sides with a line to their place, bars below the scale."""
    models, difference = len(ranked), ranked[0].difference
    places = [rank.place for rank in ranked]
    joined = _joined(ranked)
    left, right = 1.0, float(models)
    # rows are counted down from the scale; every bar takes part of a row
    first_row = 1.1 + _BAR * len(joined)
    half = math.ceil(models / 2)
    names = [_label(rank) for rank in ranked]
    share = max(len(name) for name in names) * _LETTER / TEXT_WIDTH
    side = share / (1 - 2 * share) * (right - left)  # room for the longest name, in units of the scale
    axis.set_xlim(left - side, right + side)
    axis.set_ylim(-(first_row + half), 2.4)
    axis.plot([left, right], [0, 0], color="black", lw=0.8)
    for tick in range(1, models + 1):
        axis.plot([tick, tick], [0, 0.25], color="black", lw=0.8)
        if models <= 12 or tick % 2:
            axis.text(tick, 0.4, str(tick), ha="center", va="bottom", fontsize=7)
    shown = min(difference, right - left)
    axis.plot([left, left + shown], [1.75, 1.75], color="black", lw=1.2, marker="|", ms=5)
    longer = " (longer than the scale)" if difference > right - left else ""
    axis.text(left + shown / 2, 1.85, f"CD = {difference:.2f}{longer}", ha="center", va="bottom", fontsize=7)
    for number, (first, last) in enumerate(joined):
        height = -0.5 - _BAR * number
        margin = 0.008 * (right - left)
        ends = [places[first] - margin, places[last] + margin]
        axis.plot(ends, [height, height], color="0.35", lw=2.2, solid_capstyle="butt")
    for number, rank in enumerate(ranked):
        on_left = number < half
        row = number if on_left else models - 1 - number
        height = -(first_row + row)
        edge = left - 0.03 * side if on_left else right + 0.03 * side
        axis.plot([rank.place, rank.place, edge], [0, height, height], color="0.45", lw=0.6)
        axis.plot([rank.place], [0], "o", color="black", ms=2.5)
        name = names[number]
        axis.text(edge, height, f"{name} " if on_left else f" {name}", va="center", fontsize=7,
                  ha="right" if on_left else "left")  # fmt: skip


def _label(rank: Rank) -> str:
    """Name, place and relative rank; a long name is cut in the middle, since extensions differ at their ends."""
    name = row_text(rank.model, rank.init)
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST // 2].rstrip()}…{name[-_LONGEST // 2 :].lstrip()}"
    name = name.replace("$", r"\$")
    return f"{name}  {rank.place:.2f}" + (f" ({rank.relative:.2f})" if is_number(rank.relative) else "")


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
