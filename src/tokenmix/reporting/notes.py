"""Footnotes of a table, written from what its runs say about themselves."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tokenmix.files import read_json
from tokenmix.reporting.formats import setting
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import enumerate_words, model_name, row_text
from tokenmix.reporting.records import Row, Table
from tokenmix.reporting.tex import escape

DIVERGED = "\\textsuperscript{\\textdagger}"
REUSED = "\\textsuperscript{\\textparagraph}"
REUSED_NOTE = "the runs of [T,T,T,T], reused as in the published study: another network."
SAME = "\\textsuperscript{\\textdaggerdbl}"


class Notes:
    """Collects the marks that the cells of one table use, then says what they mean."""

    def __init__(self, study: Study, table: Table) -> None:
        self.study = study
        self.table = table
        self._used: dict[str, str] = {}
        self._remedies = Remedies(study)
        self._runs = [run for dataset in table.datasets for run in study.runs_of(table, dataset)]

    def missing(self) -> str:
        """What stands in place of a cell that the study did not compute."""
        self._used["--"] = "--: not part of this study."
        return "--"

    def reused(self, model: str) -> str:
        """The mark of a row that shows the runs of another arrangement, as the published study does."""
        if model not in self.table.reused:
            return ""
        return self._use(REUSED, REUSED_NOTE)

    def marks(self, dataset: str, row: Row) -> str:
        """The marks behind one cell: divergence, remedies, local attention that sees the whole map."""
        cell = self.study.cells_of(self.table).get((dataset, *row, self.table.metrics[0]))
        marks = []
        if cell and cell.diverged:
            marks.append(
                self._use(DIVERGED, diverged_note(self.study, self._runs) + " It takes no part in the ranking.")
            )
        if self.study.twin(dataset, row, self.table.rows):
            marks.append(self._use(SAME, self._same_functions()))
        return "".join(marks) + (self._remedies.marks(dataset, cell.runs) if cell else "")

    def tex(self) -> str:
        """The notes below the table, or nothing."""
        notes = [*self._used.values(), *self._remedies.notes(), *self._whole_maps(), *self._differences()]
        if not notes:
            return ""
        return (
            "\\par\\smallskip\\begin{minipage}{\\linewidth}\\raggedright\\scriptsize "
            + " ".join(notes)
            + "\\end{minipage}"
        )

    def _use(self, mark: str, meaning: str) -> str:
        self._used.setdefault(mark, f"{mark}{meaning}")
        return mark

    def _same_functions(self) -> str:
        """Which models compute the same function, so that they are not ranked against each other."""
        sentences = []
        for dataset in self.table.datasets:
            for group in self.study.coinciding(dataset):
                names = [row_text(*row) for row in self.table.rows if row in group]
                if len(names) > 1:
                    sentences.append(f"{enumerate_words(names)} on {self.study.title(dataset)}")
        return escape(
            "the same function as another row, of which only the first is ranked: " + "; ".join(sentences) + "."
        )

    def _whole_maps(self) -> list[str]:
        """In which stages a window covers the whole map, by size of image and kernel."""
        found: dict[tuple[int, int], dict[tuple[int, ...], set[str]]] = {}
        for run in self._runs:
            entry = self.study.index["runs"][run]
            name = model_name(entry["model"])
            if entry.get("global_stages") and name.kernel:
                at = found.setdefault((int(entry["size"]), name.kernel), {})
                at.setdefault(tuple(entry["global_stages"]), set()).add(name.label)
        parts: dict[tuple[int, tuple[int, ...]], list[str]] = {}
        for (size, kernel), by_stages in sorted(found.items()):
            for stages, labels in sorted(by_stages.items()):
                who = f" ({enumerate_words(sorted(labels))})" if len(by_stages) > 1 else ""
                parts.setdefault((size, stages), []).append(f"{kernel}{who}")
        texts = [
            f"at {size} pixels in stage{'s' if len(stages) > 1 else ''} "
            f"{enumerate_words([str(s) for s in stages])} "
            f"for k = {enumerate_words(kernels)}"
            for (size, stages), kernels in parts.items()
        ]
        return [escape("A window covers the whole map " + "; ".join(texts) + ".")] if texts else []

    def _differences(self) -> list[str]:
        """A note for each of device and libraries in which the runs of this table differ."""
        runs = [self.study.run(run) for run in self._runs]
        notes = []
        devices = _distinct(runs, lambda run: run["execution"].get("device"))
        if len(devices) > 1:
            notes.append(f"Runs differ in their device: {escape(enumerate_words(devices))}.")
        libraries = sorted({name for run in runs for name in run.get("libraries", {})})
        for library in libraries:
            versions = _distinct(runs, lambda run, library=library: run.get("libraries", {}).get(library))  # type: ignore[misc]
            if len(versions) > 1:
                notes.append(f"Runs differ in {escape(library)}: {escape(enumerate_words(versions))}.")
        published = [run["initial_weights"] for run in runs if "initial_weights" in run]
        for checkpoint in sorted({initial["checkpoint"] for initial in published}):
            files = sorted({initial["sha256"][:8] for initial in published if initial["checkpoint"] == checkpoint})
            if len(files) > 1:
                notes.append(f"Runs differ in the file of {escape(checkpoint)}: {enumerate_words(files)}.")
        return notes


class Remedies:
    """Marks the cells whose shown values come from a rung of the ladder, then says what the marks mean."""

    def __init__(self, study: Study) -> None:
        self.study = study
        #: mark of a remedy -> what it did -> on which data sets
        self._found: dict[str, dict[str, list[str]]] = {}

    def marks(self, dataset: str, runs: Iterable[str]) -> str:
        """The marks of the remedies behind some runs on a data set, in the order of the ladder.

        A run in which every rung diverged shows the rung with the best checkpoint, which need not be the last.
        """
        rungs = {int(self.study.run(run)["best"]["rung"]): run for run in runs}
        marks = []
        for number, run in sorted(rungs.items()):
            if number == 0:
                continue  # the first attempt
            # the config may have renamed a mark since the run was trained; the plan tells
            rung = dict(read_json(self.study.results / "plan" / f"{run}.json")["rungs"][number])
            mark = rung.pop("mark")
            meaning = self.study.index["remedies"].get(mark, "").rstrip(".") or _changes(rung)
            titles = self._found.setdefault(mark, {}).setdefault(meaning, [])
            if dataset not in titles:
                titles.append(dataset)
            marks.append(_superscript(mark))
        return "".join(dict.fromkeys(marks))

    def notes(self) -> Iterator[str]:
        """What each mark means; where it means several things, on which data sets each."""
        for mark, meanings in self._found.items():
            texts = []
            for meaning, datasets in meanings.items():
                titles = enumerate_words([self.study.title(dataset) for dataset in datasets])
                texts.append(meaning + (f" ({titles})" if len(meanings) > 1 else ""))
            yield (
                f"{_superscript(mark)}after a divergence, in at least one seed, trained anew from the start with other "
                f"settings: {escape('; '.join(texts))}."
            )


def diverged_note(study: Study, runs: Iterable[str]) -> str:
    """What is shown of runs that diverged, in words."""
    diverged = [run for run in map(study.run, runs) if run["status"] == "diverged"]
    untrained = sum(run["best"]["epoch"] == 0 for run in diverged)
    if not untrained:
        return "training diverged; the last good checkpoint is shown."
    initial = "training diverged before its first validation; the initial weights are shown."
    if untrained == len(diverged):
        return initial
    return "training diverged; the last good checkpoint is shown, or the initial weights where there was none."


def _changes(rung: Mapping[str, Any]) -> str:
    """The settings that a rung changed."""
    return enumerate_words([f"{name.replace('_', ' ')} {setting(value)}" for name, value in sorted(rung.items())])


def _superscript(mark: str) -> str:
    return f"\\textsuperscript{{{escape(mark)}}}"


def _distinct(runs: list[dict[str, Any]], of: Callable[[dict[str, Any]], Any]) -> list[str]:
    return sorted({str(of(run) or "unknown") for run in runs})
