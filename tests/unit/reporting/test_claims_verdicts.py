"""Claims hold, fail or stay undecided as the scores of a study say, and say why they cannot be decided."""

import csv
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_studies import ALL_MODELS, make_study
from scipy import stats

from tokenmix.reporting import values
from tokenmix.reporting.claims.evidence import Contrast
from tokenmix.reporting.claims.judge import Verdict, judge_claims
from tokenmix.reporting.inputs import Study

MODELS = [model for model in ALL_MODELS if "wave" not in model and "shift" not in model]
Judge = Callable[..., dict[str, Verdict]]

#: scores of the invented study fall from pooling3 to the last model in steps of 0.012, each pair known to 0.02
BETTER = "{kind: better, table: classification_4t, model: %s, than: [%s]}"


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Verdicts on the claims of a text, for a study of 20 models on two data sets, three seeds each."""
    root = tmp_path_factory.mktemp("study")
    diverged = (("pneumoniamnist", "s12-tttt-local_attn5+slopes"),)
    index = make_study(root, models=MODELS, diverged=diverged, coinciding=[["s12-tttt-conv5", "s12-tttt-conv7"]])

    study = Study.open(index)
    registry = values.build(study)

    def verdicts(text: str, correction: str = "holm") -> dict[str, Verdict]:
        study.index["evaluation"]["correction"] = correction
        (root / "claims.yaml").write_text(text)
        return judge_claims(study, root, registry)

    return verdicts


def state(judge: Judge, claim: str) -> str:
    return judge(f"it: {claim}\n")["it"].state


def test_a_comparison_is_flipped_by_swapping_the_models(judge: Judge) -> None:
    opposite = {"holds": "fails", "fails": "holds", "undecided": "undecided"}
    names = ("pooling3", "pooling5", "conv3", "local_attn", "identity", "resnet18")
    found = set()
    for a, b in itertools.permutations(names, 2):
        there, back = (judge(f"it: {BETTER % pair}\n")["it"] for pair in ((a, b), (b, a)))
        assert back.state == opposite[there.state]
        assert back.p == pytest.approx(there.p)
        found.add(there.state)
    assert found == set(opposite)


def test_a_mixer_stands_for_the_mean_over_its_kernels(judge: Judge) -> None:
    def contrast(model: str) -> Contrast:
        return judge("it: " + BETTER % (model, "identity") + "\n")["it"].parts[0].contrast

    single = [contrast(f"pooling{kernel}") for kernel in (3, 5, 7)]
    assert contrast("pooling").estimate.value == pytest.approx(np.mean([part.estimate.value for part in single]))
    assert contrast("pooling").cases == 2 * 624
    assert len(contrast("pooling").runs) == 2 * (3 + 1) * 3


def test_an_estimate_by_hand(tmp_path: Path) -> None:
    index = make_study(tmp_path, models=MODELS[:2], diverged=(), datasets=("breastmnist", "dermamnist"))
    (tmp_path / "claims.yaml").write_text("it: " + BETTER % ("pooling3", "pooling5") + "\n")
    study = Study.open(index)
    part = judge_claims(study, tmp_path, values.build(study))["it"].parts[0]
    differences, variances = [], []
    for dataset in ("breastmnist-28", "dermamnist-28"):
        folder = tmp_path / "results/fake/metrics/classification_4t"
        cells, pairs = (read(folder / f"{dataset}.{kind}.csv", "auc") for kind in ("cells", "pairs"))
        differences.append(float(cells[0]["mean"]) - float(cells[1]["mean"]))
        cases = ((float(pairs[0]["high"]) - float(pairs[0]["low"])) / (2 * stats.norm.ppf(0.975))) ** 2
        seeds = [float(cell["std"]) ** 2 / 3 for cell in cells]
        variances.append([cases / 4, seeds[0] / 4, seeds[1] / 4])
    total = np.sum(variances)
    freedom = total**2 / sum(seed**2 / 2 for _, *both in variances for seed in both)
    low, high = stats.t.interval(0.95, freedom, np.mean(differences), math.sqrt(total))
    assert (part.low, part.high) == pytest.approx((low, high))
    assert part.contrast.differences == pytest.approx(
        {"breastmnist-28": differences[0], "dermamnist-28": differences[1]}
    )


def read(path: Path, metric: str) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["metric"] == metric]


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("{kind: better, table: classification_4t, model: pooling3, than: [identity, full_attn]}", "holds"),
        ("{kind: better, table: classification_4t, model: full_attn, than: [identity, pooling3]}", "fails"),
        ("{kind: better, table: classification_4t, model: pooling3, than: [identity], by: 0.5}", "fails"),
        ("{kind: better, table: classification_4t, model: pooling3, than: [pooling5], level: 0.999}", "undecided"),
        ("{kind: not_inferior, table: classification_4t, model: pooling5, to: [pooling3], margin: 0.1}", "holds"),
        ("{kind: not_inferior, table: classification_4t, model: identity, to: [pooling3], margin: 0.01}", "fails"),
        ("{kind: not_inferior, table: classification_4t, model: pooling5, to: [pooling3], margin: 0.012}", "undecided"),
        ("{kind: order, table: classification_4t, models: [pooling, sep_conv, identity]}", "holds"),
        ("{kind: order, table: classification_4t, models: [pooling, identity, sep_conv]}", "fails"),
        ("{kind: monotone, table: classification_4t, mixer: pooling, direction: falling, tolerance: 0.02}", "holds"),
        ("{kind: monotone, table: classification_4t, mixer: pooling, direction: rising, tolerance: 0.2}", "holds"),
        ("{kind: monotone, table: classification_4t, mixer: conv, direction: rising}", "undecided"),
        ("{kind: bound, table: classification_4t, model: pooling3, above: 0.7}", "holds"),
        ("{kind: bound, table: classification_4t, model: pooling3, below: 0.7}", "fails"),
        ("{kind: bound, table: classification_4t, model: s12-tttt-pooling3.scratch, above: 0.86}", "undecided"),
        ("{kind: value, value: study/diverged, below: 1}", "fails"),
        ("{kind: value, value: study/runs, above: 100}", "holds"),
    ],
)  # fmt: skip
def test_each_kind_follows_the_scores(claim: str, expected: str, judge: Judge) -> None:
    assert state(judge, claim) == expected


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (BETTER.replace("classification_4t", "extensions") % ("local_attn5", "local_attn5+cls"), "no table extensions"),
        (BETTER % ("random.warm", "identity"), "has no random mixing (warm start)"),
        (BETTER % ("classification_2p2t/pooling", "pooling"), "study without table classification_2p2t has no pooling"),
        (BETTER % ("local_attn5+slopes", "local_attn5"), "local attention 5×5 + slopes on pneumoniamnist"),
        (BETTER % ("conv5", "conv7"), "compute the same function on breastmnist"),
        (BETTER % ("pooling3", "s12-tttt-pooling3"), "compares rows of a table with themselves"),
        (
            "{kind: bound, table: classification_4t, datasets: [imagewoof], model: conv, above: 0}",
            "no data set imagewoof",
        ),
        ("{kind: monotone, table: classification_4t, mixer: full_attn, direction: rising}", "one kernel"),
        ("{kind: value, value: study/rusn, above: 0}", "no value study/rusn; the nearest are study/runs"),
        ("{kind: value, value: study/name, above: 0}", "is no number"),
    ],
)
def test_what_cannot_be_decided_says_why(claim: str, reason: str, judge: Judge) -> None:
    verdict = judge(f"it: {claim}\n")["it"]
    assert verdict.state == "undecided" and reason in verdict.reason


def test_the_p_value_is_that_of_the_interval(judge: Judge) -> None:
    """At the level 1 - p the interval of a comparison just touches its threshold."""
    verdict = judge("it: " + BETTER % ("pooling3", "pooling5") + "\n")["it"]
    assert verdict.p is not None
    assert verdict.parts[0].contrast.estimate.interval(1 - verdict.p)[0] == pytest.approx(0, abs=1e-9)


def test_more_comparisons_are_more_chances_to_fail_and_none_to_hold(judge: Judge) -> None:
    def p_values(model: str, a: str, b: str) -> list[float]:
        found = [judge("it: " + BETTER % (model, others) + "\n")["it"].p for others in (a, b, f"{a}, {b}")]
        return [p for p in found if p is not None]

    a, b, both = p_values("pooling7", "pooling3", "pooling5")  # false
    assert both == pytest.approx(2 * min(a, b))
    a, b, both = p_values("pooling3", "pooling5", "pooling7")  # true
    assert both == pytest.approx(max(a, b))


def test_more_claims_need_more_evidence(judge: Judge) -> None:
    p = judge("it: " + BETTER % ("pooling3", "pooling5") + "\n")["it"].p
    assert p is not None
    claim = (BETTER % ("pooling3", "pooling5")).replace("}", f", level: {1 - 1.01 * p}}}")  # by a hair's breadth
    more = f"it: {claim}\nmore: {BETTER % ('pooling5', 'pooling7')}\n"
    assert judge(f"it: {claim}\n")["it"].state == "holds"
    assert judge(more)["it"].state == "undecided"
    assert judge(more, correction="none")["it"].state == "holds"
    # what cannot be tested is no test
    assert judge(f"it: {claim}\nmore: {BETTER % ('random.warm', 'identity')}\n")["it"].state == "holds"


def test_other_trainings_are_noise_unless_the_claim_is_about_these(judge: Judge) -> None:
    claim = BETTER % ("pooling3", "pooling5")
    wide, narrow = (judge(f"it: {text}\n")["it"].parts[0] for text in (claim, claim.replace("}", ", test: cases}")))
    assert narrow.high - narrow.low < wide.high - wide.low
    assert narrow.contrast.estimate.freedom == math.inf


def test_verdicts_are_plain_json(judge: Judge) -> None:
    verdict = judge("it: " + BETTER % ("pooling3", "identity") + "\n")["it"]
    entry = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert entry["verdict"] == "holds" and entry["evidence"][0]["runs"]
