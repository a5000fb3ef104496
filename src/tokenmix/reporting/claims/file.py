"""The types of `paper/claims.yaml`: statements about results as predicates that the build tests.

docs/claims.md is the manual. Nothing in the file is executed: a predicate is one of six kinds with typed fields.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, ValidationError, model_validator

from tokenmix.study.config import Metric, Name
from tokenmix.study.explain import dotted, findings_of
from tokenmix.study.grammar import nearest, quote
from tokenmix.study.problems import Problem, raise_problems
from tokenmix.study.protocol import Section
from tokenmix.study.yaml_lines import Document, read_yaml

FILE = "claims.yaml"
#: what a claim may print, in words of its author
TEXTS = ("sentence", "holds", "fails", "undecided")
#: Keys stand in TeX commands and in names of links.
KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")


def _unpunctuated(value: str) -> str:
    if value.rstrip() != value or value.endswith((".", "!", "?")):
        raise ValueError("ends without full stop and space: the text around the claim has them")
    return value


def _without_kernel(value: str) -> str:
    if re.search(r"[0-9]", value.rpartition("/")[2]):
        raise ValueError("names a mixer without its kernel: the claim is about all of its kernels")
    return value


Sentence = Annotated[str, Field(min_length=1, max_length=600), AfterValidator(_unpunctuated)]
#: One or several rows of a table: see docs/claims.md.
Models = Annotated[str, Field(min_length=1, max_length=120)]
Margin = Annotated[float, Field(gt=0, le=1)]
Tolerance = Annotated[float, Field(ge=0, le=1)]


class Claim(Section):
    """What every claim may say; a kind adds the fields of its predicate."""

    sentence: Sentence | None = Field(default=None, description="the claim; default: the predicate in words")
    holds: Sentence | None = Field(default=None, description="printed where it holds; default: the sentence")
    fails: Sentence | None = Field(default=None, description="printed where it fails; default: the sentence, refuted")
    undecided: Sentence | None = Field(default=None, description="printed where it cannot be decided")


class ScoreClaim(Claim):
    """A claim about mean scores in a table, over data sets."""

    table: Name = Field(description="a table of the config")
    metric: Metric = Field(default="auc", description="the metric that is compared")
    datasets: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="data sets, over which differences are averaged; default: all of the table"
    )
    level: Annotated[float, Field(gt=0.5, lt=1)] | None = Field(
        default=None, description="of the intervals, and 1 minus the error of the test; default: the study's"
    )
    test: Literal["cases_and_seeds", "cases"] = Field(
        default="cases_and_seeds", description="the noise that counts: of test cases, and of trainings as well"
    )


class Better(ScoreClaim):
    """A model scores higher than each of others, by more than an amount."""

    kind: Literal["better"]
    model: Models
    than: Annotated[list[Models], Field(min_length=1)]
    by: Tolerance = 0.0


class NotInferior(ScoreClaim):
    """A model scores at most a margin lower than each of others."""

    kind: Literal["not_inferior"]
    model: Models
    to: Annotated[list[Models], Field(min_length=1)]
    margin: Margin


class Monotone(ScoreClaim):
    """Scores rise, or fall, with each step to a mixer's next larger kernel; `tolerance` allows for small steps back."""

    kind: Literal["monotone"]
    mixer: Annotated[Models, AfterValidator(_without_kernel)]
    direction: Literal["rising", "falling"]
    tolerance: Tolerance = 0.0


class Order(ScoreClaim):
    """Each model scores higher than the next."""

    kind: Literal["order"]
    models: Annotated[list[Models], Field(min_length=2)]


class Bound(ScoreClaim):
    """The mean score of a model lies above, or below, a bound."""

    kind: Literal["bound"]
    model: Models
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> "Bound":
        return _one_bound(self)


class ValueBound(Claim):
    """A value of the registry, taken as it stands, lies above, or below, a bound."""

    kind: Literal["value"]
    value: Annotated[str, Field(min_length=1)]
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> "ValueBound":
        return _one_bound(self)


def _one_bound(claim: Any) -> Any:
    if (claim.above is None) == (claim.below is None):
        raise ValueError("needs either `above` or `below`, a number")
    return claim


KINDS: dict[str, type[Claim]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind
    for kind in (Better, NotInferior, Monotone, Order, Bound, ValueBound)
}


def load_claims(source: Path) -> tuple[dict[str, Any], Document]:
    """The claims of `<source>/claims.yaml` by key, and the file with its lines; none where there is no file.

    Raises one UserError with every mistake, its line, and the nearest right word.
    """
    path = source / FILE
    if not path.is_file():
        return {}, Document(str(path))
    document = read_yaml(path, str(path))
    problems, claims = list(document.problems), {}
    for key, raw in document.value.items():
        try:
            claims[str(key)] = _claim(str(key), raw)
        except ValidationError as error:
            for place, text in findings_of(error, KINDS[raw["kind"]]).items():
                problems.append(Problem(document.where((key, *place)), f"{dotted((key, *place))}: {text}"))
        except ValueError as error:
            place = (key, "kind") if isinstance(raw, dict) and "kind" in raw else (key,)
            problems.append(Problem(document.where(place), f"{key}: {error}"))
    raise_problems("the claims", problems)
    return claims, document


def _claim(key: str, raw: Any) -> Claim:
    if not KEY.fullmatch(key):
        raise ValueError("cannot name a claim; it needs small letters, digits and `_`, a letter first, at most 60")
    if not isinstance(raw, dict):
        raise ValueError(f"must be a mapping with the key `kind`, one of {', '.join(KINDS)}")
    if not isinstance(raw.get("kind"), str) or raw["kind"] not in KINDS:
        if "kind" not in raw:
            raise ValueError(f"has no `kind`; allowed: {', '.join(KINDS)}")
        raise ValueError(f"unknown kind {quote(raw['kind'])}{nearest(str(raw['kind']), KINDS)}")
    return KINDS[raw["kind"]].model_validate(raw)
