"""Claims: statements about results, tested at build time; `<results>/<study>/paper/claims.json` holds the verdicts.

A claim holds where every one of its comparisons is true by a one-sided test, fails where one is false by the
opposite test, and is undecided otherwise. docs/claims.md says it at length.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import read_json
from tokenmix.reporting.claims.evidence import Part, UndecidableError
from tokenmix.reporting.claims.file import Claim, ScoreClaim, ValueBound, load_claims
from tokenmix.reporting.claims.kinds import References, comparisons
from tokenmix.reporting.claims.names import Reference, known_dataset, known_table, reference
from tokenmix.reporting.claims.statistics import holm
from tokenmix.reporting.claims.words import statement
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.registry import Registry, nearest
from tokenmix.study.problems import Problem, raise_problems
from tokenmix.study.yaml_lines import Place

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"


@dataclass(frozen=True)
class Verdict:
    """What became of a claim. reason: why it cannot be decided; p: two-sided, p_holm: adjusted for all claims."""

    claim: Claim
    words: str
    where: str
    state: str
    reason: str = ""
    level: float | None = None
    p: float | None = None
    p_holm: float | None = None
    parts: tuple[Part, ...] = ()

    @property
    def sentence(self) -> str:
        """The claim as a sentence, whatever became of it."""
        return self.claim.sentence or self.words

    @property
    def own(self) -> str | None:
        """What its author wrote for this outcome."""
        return {HOLDS: self.claim.holds, FAILS: self.claim.fails, UNDECIDED: self.claim.undecided}[self.state]

    def as_json(self) -> dict[str, Any]:
        """One entry of claims.json."""
        return {
            "sentence": self.sentence,
            "predicate": self.words,
            "verdict": self.state,
            "reason": self.reason,
            "where": self.where,
            "level": self.level,
            "p": self.p,
            "p_holm": self.p_holm,
            "evidence": [part.as_json() for part in self.parts],
        }


def judge_claims(study: Study, source: Path, registry: Registry) -> dict[str, Verdict]:
    """The verdict on every claim of `<source>/claims.yaml`; raises one UserError with all mistakes of the file."""
    claims, document = load_claims(source)
    problems, references = [], {}
    for key, claim in claims.items():
        references[key] = _references(claim, study) if isinstance(claim, ScoreClaim) else {}
        for place, text in _mistakes(claim, references[key], study):
            problems.append(Problem(document.where((key, *place)), f"{key}: {text}"))
    raise_problems("the claims", problems)
    verdicts = {}
    for key, claim in claims.items():
        known = {place: found for place, found in references[key].items() if isinstance(found, Reference)}
        common = (claim, statement(claim, known), document.where((key,)))
        try:
            verdicts[key] = _verdict(common, known, study, registry)
        except UndecidableError as error:
            verdicts[key] = Verdict(*common, UNDECIDED, str(error))
    return _corrected(verdicts, study)


def _references(claim: ScoreClaim, study: Study) -> dict[Place, Reference | str]:
    """Place of each model that a claim names -> what it refers to, or what is wrong with it."""
    found: dict[Place, Reference | str] = {}
    for name in ("model", "mixer", "than", "to", "models"):
        given = getattr(claim, name, [])
        for place, text in (
            [((name,), given)] if isinstance(given, str) else [((name, i), t) for i, t in enumerate(given)]
        ):
            try:
                found[place] = reference(text, claim.table, study)
            except UserError as error:
                found[place] = str(error)
    return found


def _mistakes(claim: Claim, found: Mapping[Place, Reference | str], study: Study) -> Iterator[tuple[Place, str]]:
    if isinstance(claim, ScoreClaim):
        if problem := known_table(claim.table, study):
            yield ("table",), problem
        for i, name in enumerate(claim.datasets or []):
            if problem := known_dataset(name, study):
                yield ("datasets", i), problem
    yield from ((place, text) for place, text in found.items() if isinstance(text, str))


def _verdict(common: tuple[Claim, str, str], references: References, study: Study, registry: Registry) -> Verdict:
    claim = common[0]
    if isinstance(claim, ValueBound):
        return Verdict(*common, _exact(claim, registry))
    assert isinstance(claim, ScoreClaim)
    level = claim.level or study.level
    parts = tuple(comparisons(study, claim, references, level))
    # all comparisons must be true: their largest p-value counts; that one of them is false is one of as many tests
    holds = max(part.p_holds for part in parts)
    fails = min(1.0, len(parts) * min(part.p_fails for part in parts))
    state = HOLDS if holds < fails else FAILS
    return Verdict(*common, state, level=level, p=min(1.0, 2 * min(holds, fails)), parts=parts)


def _exact(claim: ValueBound, registry: Registry) -> str:
    if claim.value not in registry:
        near = ", ".join(nearest(claim.value, registry.values)) or "none"
        raise UndecidableError(f"the study has no value {claim.value}; the nearest are {near}")
    value = registry[claim.value].value
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UndecidableError(f"the value {claim.value} is no number")
    true = value > claim.above if claim.above is not None else value < claim.below  # type: ignore[operator]
    return HOLDS if true else FAILS


def _corrected(verdicts: dict[str, Verdict], study: Study) -> dict[str, Verdict]:
    """Verdicts after the correction for the number of claims that could be tested."""
    p_values = {key: verdict.p for key, verdict in verdicts.items() if verdict.p is not None}
    correct = study.index.get("evaluation", {}).get("correction", "holm") == "holm"
    adjusted = holm(p_values) if correct else p_values
    result = dict(verdicts)
    for key, p in adjusted.items():
        old = verdicts[key]
        assert old.level is not None
        state = old.state if p < 1 - old.level else UNDECIDED
        reason = "" if state != UNDECIDED else "the test decides neither for it nor against it"
        result[key] = Verdict(old.claim, old.words, old.where, state, reason, old.level, old.p, p, old.parts)
    return result


def judge(study: Study) -> str:
    """What became of the claims, in a sentence; raises UserError where one fails and the study does not allow it."""
    path = study.paper / "claims.json"
    content = read_json(path)
    try:
        states = {key: (entry["verdict"], entry["sentence"], entry["where"]) for key, entry in content.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path} holds no verdicts ({error}); delete it so that it is made again") from error
    failed = [f"{where}: {key}: {text}" for key, (state, text, where) in states.items() if state == FAILS]
    counts = {state: sum(entry[0] == state for entry in states.values()) for state in (HOLDS, FAILS, UNDECIDED)}
    summary = ", ".join(f"{number} {state}" for state, number in counts.items())
    listed = "\n  ".join(failed)
    if failed and not study.index.get("claims", {}).get("may_fail"):
        raise UserError(
            f"the results contradict {len(failed)} of the paper's {len(states)} claims; the PDF is built and shows "
            f"them in red; correct these sentences, or allow them by `claims: {{may_fail: true}}` in the config\n"
            f"  {listed}"
        )
    return f"claims: {summary}" + (f"; allowed to fail in this study:\n  {listed}" if failed else "")
