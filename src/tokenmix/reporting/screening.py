"""Tables whose rows are data sets: what each holds, how well its models do, and whether it suits a comparison."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tokenmix.reporting import formats
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import METRIC_HEADS, enumerate_words, row_text
from tokenmix.reporting.notes import Notes
from tokenmix.reporting.ranking import Ranking, rank
from tokenmix.reporting.records import Row, Table, is_number
from tokenmix.reporting.registry import Registry, Value
from tokenmix.reporting.tex import escape, key
from tokenmix.rows import csv_text

#: the AUC of guessing, and one above which models can hardly differ any more
CHANCE, SATURATED = 0.5, 0.99
#: a standard deviation of the AUC over seeds beside which differences between models are lost
UNSTABLE = 0.02
#: test cases of the rarest class: the recall of a class with so few has a standard error of up to 0.5 / sqrt(25) = 0.1
FEWEST = 25

RULE = (
    f"near chance: the interval of the best AUC reaches down to {CHANCE}; saturated: the best mean AUC is above "
    f"{SATURATED}; alike: the models' mean AUCs lie within the noise of their seeds; unstable: the AUC has a standard "
    f"deviation over seeds above {UNSTABLE}; few cases: the rarest class has fewer than {FEWEST} in the test split; "
    "diverged: no training finished; suited: none of these"
)
#: what a verdict can be
WORDS = ("suited", "near chance", "saturated", "alike", "unstable", "few cases", "diverged")
#: columns of numbers beside the facts of a data set, and in the floats that follow; data sets on a page
_COLUMNS, _MORE_COLUMNS, _ROWS = 3, 8, 22


def verdict(ranking: Ranking, rarest: int) -> str:
    """Whether a data set tells models apart, by `RULE`; `ranking` is that of the AUC."""
    best = ranking.best
    if best is None:
        return "diverged"
    several = len(ranking.cells) > 1 and ranking.seed_noise is not None
    found = {
        "near chance": best.low <= CHANCE,
        "saturated": best.mean > SATURATED,
        "alike": several and ranking.spread <= (ranking.seed_noise or 0),
        "unstable": any(cell.std > UNSTABLE for cell in ranking.cells),
        "few cases": rarest < FEWEST,
    }
    return ", ".join(word for word, true in found.items() if true) or "suited"


def add_verdicts(registry: Registry, study: Study) -> None:
    """Add verdict/TABLE/DATASET for each table of data sets, and verdicts/TABLE/WORD: on how many that is said."""
    for table in study.tables.values():
        if table.layout == "datasets":
            verdicts = [_add_verdict(registry, study, table, dataset) for dataset in table.datasets]
            said = Counter(word for text in verdicts for word in text.split(", "))
            for word, number in [("all", len(verdicts)), *said.items()]:
                value = Value(
                    number,
                    formats.count(number),
                    "finding:" + key(table.name, table.datasets[0]),
                    f"data sets of table {table.name}, verdict {word} ({RULE})",
                    "values",
                    runs=tuple(run for dataset in table.datasets for run in study.runs_of(table, dataset)),
                    config=study.line(f"tables.{table.name}"),
                    format="count",
                    files=tuple(f"metrics/{table.name}/{dataset}.cells.csv" for dataset in table.datasets),
                )
                registry.add(key("verdicts", table.name, word), value)


def _add_verdict(registry: Registry, study: Study, table: Table, dataset: str) -> str:
    ranking = rank(study, table, dataset, "auc")
    text = verdict(ranking, min(study.card(dataset)["counts"]["test"].values()))
    runs = tuple(run for cell in ranking.cells for run in cell.runs)
    line, config = "finding:" + key(table.name, dataset), study.line(f"tables.{table.name}")
    cases = study.card(dataset)["n"]["test"]
    files = (f"metrics/{table.name}/{dataset}.cells.csv",)
    registry.add(
        key("verdict", table.name, dataset),
        Value(text, text, line, f"verdict: {RULE}", "values", n=cases, runs=runs, config=config, files=files),
    )
    return text


def verdicts_tex(registry: Registry, table: Table) -> str:
    """A sentence on all data sets of a table: how many suit a comparison, and what speaks against the others."""
    found = [(word, at) for word in WORDS if (at := key("verdicts", table.name, word)) in registry]
    said = enumerate_words([f"{word} on \\val{{{at}}}" for word, at in found])
    return (
        f"\\paragraph{{Data sets of Table~\\ref{{tab:{table.name}}}.}} The verdict on \\val{{"
        f"{key('verdicts', table.name, 'all')}}} data sets is {said}"
        + ("; one data set can have several." if len(found) > 1 else ".")
    )


def screening_tex(study: Study, table: Table) -> str:
    """One float with facts, scores and verdicts; more (continued) where data sets or models do not fit on one page."""
    notes = Notes(study, table)
    columns = [(row, metric) for row in table.rows for metric in table.metrics]
    floats = []
    for start in range(0, len(table.datasets), _ROWS):
        datasets = table.datasets[start : start + _ROWS]
        floats.append(_float(study, table, notes, datasets, columns[:_COLUMNS], facts=True))
        for more in range(_COLUMNS, len(columns), _MORE_COLUMNS):
            floats.append(_float(study, table, notes, datasets, columns[more : more + _MORE_COLUMNS], facts=False))
    several = any(is_number(cell.std) for cell in study.cells_of(table).values())
    shown = "$\\pm$ standard deviation over seeds" if several else "one seed, \\val{study/level} intervals over cases"
    first = escape(table.caption) or "Data sets and how well models do on them"
    first = first if first.endswith((".", "?", "!")) else first + "."
    phantom = " Phantom images, not medical results." if study.phantoms else ""
    caption = (
        f"{first} In brackets: number of classes. Scores on the test split: mean, {shown}. Verdict: {escape(RULE)}."
    )
    text = ["% generated by `tokenmix report table`; do not edit"]
    for number, lines in enumerate(floats):
        label = f"\\label{{tab:{table.name}}}\\tmxmainlabel\\gdef\\tmxmainlabel{{}}"
        text += [
            r"\begin{table}[tbp]",
            "" if number == 0 else r"\ContinuedFloat",
            r"\centering",
            f"\\caption{{{caption}{phantom}}}{label}" if number == 0 else r"\caption[]{(continued)}",
            r"\scriptsize\setlength\tabcolsep{3pt}",
            *lines,
            notes.tex() if number == len(floats) - 1 else "",
            r"\end{table}",
        ]
    return "\n".join(line for line in text if line) + "\n"


def _float(
    study: Study,
    table: Table,
    notes: Notes,
    datasets: Sequence[str],
    columns: Sequence[tuple[Row, str]],
    *,
    facts: bool,
) -> Iterator[str]:
    ragged = r">{\raggedright\arraybackslash}"
    scores = "c" * len(columns)
    if facts:
        yield f"\\begin{{tabular}}{{@{{}}{ragged}p{{25mm}}lrrr{ragged}p{{17mm}}{scores}{ragged}p{{18mm}}@{{}}}}"
    else:
        yield f"\\begin{{tabular}}{{@{{}}{ragged}p{{25mm}}{scores}@{{}}}}"
    before = 6 if facts else 1
    groups, rules = [], []
    for row in dict.fromkeys(row for row, _ in columns):
        mine = [number for number, (other, _) in enumerate(columns, before + 1) if other == row]
        groups.append(f"\\multicolumn{{{len(mine)}}}{{c}}{{{escape(row_text(*row))}}}")
        rules.append(f"\\cmidrule(lr){{{mine[0]}-{mine[-1]}}}")
    cases = [r" & & \multicolumn{3}{c}{Cases} & "] if facts else [""]
    yield r"\toprule " + " & ".join([*cases, *groups]) + (" & " if facts else "") + r" \\"
    yield (r"\cmidrule(lr){3-5}" if facts else "") + "".join(rules)
    heads = ["Task", "train", "val.", "test", "Licence"] if facts else []
    metrics = [METRIC_HEADS.get(metric, escape(metric)) for _, metric in columns]
    yield " & ".join(["Data set", *heads, *metrics, *(["Verdict"] if facts else [])]) + r" \\ \midrule"
    for dataset in datasets:
        card = study.card(dataset)
        cells = [escape(study.title(dataset))]
        if facts:
            cells.append(f"{escape(str(card['task']))} (\\val{{{key('data', dataset, 'classes')}}})")
            cells += [f"\\val{{{key('data', dataset, fact)}}}" for fact in ("train", "val", "test", "licence")]
        cells += [_score(study, table, notes, dataset, row, metric) for row, metric in columns]
        yield " & ".join(cells) + (f" & \\val{{{key('verdict', table.name, dataset)}}}" if facts else "") + r" \\"
    yield r"\bottomrule\end{tabular}"


def _score(study: Study, table: Table, notes: Notes, dataset: str, row: Row, metric: str) -> str:
    cell = study.cells_of(table).get((dataset, *row, metric))
    if cell is None:
        return notes.missing()
    at = key(metric, dataset, *row)
    below = f"$\\pm$\\,\\val{{{at}/std}}" if is_number(cell.std) else f"[\\val{{{at}/low}}, \\val{{{at}/high}}]"
    mean = f"\\val{{{at}}}{notes.marks(dataset, row)}"
    return f"\\begin{{tabular}}[t]{{@{{}}c@{{}}}}{mean}\\\\[-2pt]{{\\tiny {below}}}\\end{{tabular}}"


def screening_csv(study: Study, table: Table) -> str:
    """The same table for readers without TeX: one row a data set and model."""
    facts = ("dataset", "title", "task", "classes", "train", "val", "test", "rarest", "licence", "verdict")
    numbers = [f"{metric}{end}" for metric in table.metrics for end in ("", "_std", "_low", "_high")]
    rows = []
    for dataset in table.datasets:
        card = study.card(dataset)
        rarest = min(card["counts"]["test"].values())
        cases = [card["n"][split] for split in ("train", "val", "test")]
        given = [dataset, study.title(dataset), card["task"], len(card["classes"]), *cases, rarest]
        given += [card.get("licence") or "", verdict(rank(study, table, dataset, "auc"), rarest)]
        for model, init in table.rows:
            cells = [study.cells_of(table).get((dataset, model, init, metric)) for metric in table.metrics]
            if (first := cells[0]) is not None:
                row: list[Any] = [model, init, first.seeds, "diverged" if first.diverged else "finished"]
                scores = [number for cell in cells if cell for number in (cell.mean, cell.std, cell.low, cell.high)]
                rows.append([*given, *row, first.mark, *(s if is_number(s) else "" for s in scores)])
    return csv_text((*facts, "model", "init", "seeds", "status", "mark", *numbers), rows)
