"""The comparisons that each kind of claim consists of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tokenmix.reporting.claims.evidence import Part, UndecidableError, measure, weigh
from tokenmix.reporting.claims.file import Better, Bound, Monotone, NotInferior, Order, ScoreClaim
from tokenmix.reporting.claims.names import Reference, TableRow
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.names import model_name
from tokenmix.study.yaml_lines import Place

#: Place of a model's name in a claim -> what it refers to.
References = dict[Place, Reference]


def comparisons(study: Study, claim: ScoreClaim, references: References, level: float) -> tuple[Part, ...]:
    """What must be true for the claim to hold, measured; raises UndecidableError where it cannot be."""
    return tuple(_KINDS[type(claim)](claim, references, _Tested(study, claim, level)))


@dataclass(frozen=True)
class _Tested:
    """What the comparisons of one claim share."""

    study: Study
    claim: ScoreClaim
    level: float

    def datasets(self) -> list[str]:
        """The data sets that the claim is about, with their sizes."""
        table = self.study.tables.get(self.claim.table)
        if table is None:
            raise UndecidableError(f"the study has no table {self.claim.table}")
        if self.claim.datasets is None:
            return list(table.datasets)
        keys = {self.study.datasets[key]["name"]: key for key in table.datasets} | {k: k for k in table.datasets}
        missing = [name for name in self.claim.datasets if name not in keys]
        if missing:
            raise UndecidableError(f"table {table.name} of the study has no data set {', '.join(missing)}")
        return list(dict.fromkeys(keys[name] for name in self.claim.datasets))

    def rows(self, reference: Reference) -> list[TableRow]:
        """The rows behind a name; there must be one."""
        found = reference.rows(self.study)
        if not found:
            has = "table" if reference.table in self.study.tables else "study without table"
            raise UndecidableError(f"the {has} {reference.table} has no {reference.words(reference.table)}")
        return found

    def part(
        self, words: str, plus: list[TableRow], minus: list[TableRow], threshold: float, *, below: bool = False
    ) -> Part:
        """One comparison: is the mean of `plus` minus that of `minus` above the threshold, or below it?"""
        weights = weigh(plus, minus)
        if not weights:
            raise UndecidableError(f"{words} compares rows of a table with themselves")
        contrast = measure(
            self.study, weights, self.datasets(), self.claim.metric, with_seeds=self.claim.test == "cases_and_seeds"
        )
        return Part(words, contrast, threshold, below, *contrast.estimate.interval(self.level))

    def against(self, a: Reference, b: Reference, threshold: float) -> Part:
        """One model minus another."""
        self.datasets()  # a table that is not there is the first reason
        words = f"{a.words(self.claim.table)} − {b.words(self.claim.table)}"
        return self.part(words, self.rows(a), self.rows(b), threshold)


def _better(claim: Better, references: References, tested: _Tested) -> Iterator[Part]:
    for i in range(len(claim.than)):
        yield tested.against(references["model",], references["than", i], claim.by)


def _not_inferior(claim: NotInferior, references: References, tested: _Tested) -> Iterator[Part]:
    for i in range(len(claim.to)):
        yield tested.against(references["model",], references["to", i], -claim.margin)


def _order(claim: Order, references: References, tested: _Tested) -> Iterator[Part]:
    for i in range(len(claim.models) - 1):
        yield tested.against(references["models", i], references["models", i + 1], 0.0)


def _monotone(claim: Monotone, references: References, tested: _Tested) -> Iterator[Part]:
    tested.datasets()
    kernels: dict[int, list[TableRow]] = {}
    for row in tested.rows(references["mixer",]):
        kernels.setdefault(model_name(row.model).kernel or 0, []).append(row)
    if len(kernels) < 2:
        raise UndecidableError(f"the study has one kernel of {references['mixer',].words(claim.table)}")
    steps = sorted(kernels)
    for smaller, larger in pairwise(steps):
        pair = (larger, smaller) if claim.direction == "rising" else (smaller, larger)
        words = f"{pair[0]}×{pair[0]} − {pair[1]}×{pair[1]}"
        yield tested.part(words, kernels[pair[0]], kernels[pair[1]], -claim.tolerance)


def _bound(claim: Bound, references: References, tested: _Tested) -> Iterator[Part]:
    tested.datasets()
    model = references["model",]
    words, rows = model.words(claim.table), tested.rows(model)
    if claim.above is not None:
        yield tested.part(words, rows, [], claim.above)
    elif claim.below is not None:
        yield tested.part(words, rows, [], claim.below, below=True)


_KINDS: dict[type[ScoreClaim], Callable[..., Iterator[Part]]] = {
    Better: _better,
    NotInferior: _not_inferior,
    Monotone: _monotone,
    Order: _order,
    Bound: _bound,
}
