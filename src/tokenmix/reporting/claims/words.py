"""A claim's predicate in words: the sentence of a claim that gives none, and what the appendix shows beside it."""

from collections.abc import Mapping

from tokenmix.reporting.claims.file import Better, Bound, Claim, Monotone, NotInferior, Order, ValueBound
from tokenmix.reporting.claims.names import Reference
from tokenmix.reporting.names import enumerate_words, metric_name
from tokenmix.study.yaml_lines import Place


def statement(claim: Claim, references: Mapping[Place, Reference]) -> str:
    """The predicate as a clause without full stop, capital letter first."""
    text = _clause(claim, references)
    return text[:1].upper() + text[1:]


def _clause(claim: Claim, references: Mapping[Place, Reference]) -> str:
    if isinstance(claim, ValueBound):
        return f"the value {claim.value} is {_side(claim)}"
    assert isinstance(claim, Better | NotInferior | Monotone | Order | Bound)

    def words(*place: str | int) -> str:
        return references[place].words(claim.table)

    score = f"mean {metric_name(claim.metric)}"
    if isinstance(claim, Better):
        others = enumerate_words([words("than", i) for i in range(len(claim.than))])
        more = f"more than {claim.by:g} higher" if claim.by else "higher"
        return f"the {score} of {words('model')} is {more} than that of {others}"
    if isinstance(claim, NotInferior):
        others = enumerate_words([words("to", i) for i in range(len(claim.to))])
        return f"the {score} of {words('model')} is less than {claim.margin:g} below that of {others}"
    if isinstance(claim, Monotone):
        verb = "rises" if claim.direction == "rising" else "falls"
        allowed = f", but for steps back of less than {claim.tolerance:g}" if claim.tolerance else ""
        return f"the {score} of {words('mixer')} {verb} with the kernel{allowed}"
    if isinstance(claim, Order):
        models = [words("models", i) for i in range(len(claim.models))]
        return f"the {score} falls from {' to '.join(models)}"
    return f"the {score} of {words('model')} is {_side(claim)}"


def _side(claim: Bound | ValueBound) -> str:
    return f"above {claim.above:g}" if claim.above is not None else f"below {claim.below:g}"
