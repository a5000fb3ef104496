"""How many parameters the extensions of a model add, beside its scores."""

from collections.abc import Mapping

from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import model_name
from tokenmix.reporting.records import Table
from tokenmix.reporting.tex import escape, key

#: (model, data set) -> parameters with the data set's head
Parameters = Mapping[tuple[str, str], int]


def parameter_counts(study: Study) -> dict[tuple[str, str], int]:
    """Trainable parameters of each model of the profile on each of its data sets."""
    return {(row["model"], row["dataset"]): int(float(row["parameters"])) for row in study.profile("models")}


def added(counts: Parameters, model: str, dataset: str) -> int | None:
    """What the extensions of a model add to the same model without any; None where either was not counted."""
    plain = model.partition("+")[0]
    if plain == model or (plain, dataset) not in counts or (model, dataset) not in counts:
        return None
    return counts[model, dataset] - counts[plain, dataset]


class Sizes:
    """The columns of parameters of one table, which only tables with extensions have.

    The head differs between data sets, what an extension adds does not: the numbers are those of the first one.
    """

    def __init__(self, study: Study, table: Table) -> None:
        extended = any(model_name(model).extensions for model, _ in table.rows)
        self.dataset = table.datasets[0]
        self.counts: Parameters = parameter_counts(study) if extended else {}
        self.heads = ["Params", "$\\Delta$"] if extended else []
        self.caption = (
            f" Params: trainable parameters with the head of {escape(study.title(self.dataset))}; $\\Delta$: "
            "difference to the same model without extensions."
            if extended
            else ""
        )

    def cells(self, model: str) -> list[str]:
        """What one row shows in these columns."""
        if not self.heads:
            return []
        at = key(model, self.dataset)
        extended = bool(model_name(model).extensions)
        difference = "--" if extended else ""
        if added(self.counts, model, self.dataset) is not None:
            difference = f"\\val{{added_params/{at}}}"
        return [f"\\val{{params/{at}}}" if (model, self.dataset) in self.counts else "--", difference]

    def numbers(self, model: str) -> list[int | str]:
        """The same as numbers; empty where they are unknown."""
        if not self.heads:
            return []
        difference = added(self.counts, model, self.dataset)
        return [self.counts.get((model, self.dataset), ""), "" if difference is None else difference]
