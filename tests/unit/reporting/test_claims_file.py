"""Mistakes in claims.yaml and in its use are one message with file, line and the nearest right word."""

import re
from pathlib import Path

import pytest
from fake_studies import MODELS, make_study

from tokenmix.cli import main
from tokenmix.reporting.claims.check import claim_problems, unused_claims
from tokenmix.reporting.claims.file import KINDS, load_claims

ROOT = Path(__file__).parents[3]
GOOD = "{kind: better, table: classification_4t, model: conv3, than: [identity]}"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = make_study(tmp_path_factory.mktemp("study"), models=MODELS[:3], diverged=(), datasets=("breastmnist",))
    assert main(["report", "values", "--plan", str(index)]) == 0
    return index


@pytest.mark.parametrize(
    ("claims", "complaints"),
    [
        ("a: [\n\nb: 1\n", [":4: is not valid YAML"]),
        (f"a: {GOOD}\na: {GOOD}\n", [":2: a: written twice, first in line 1"]),
        ("a: 3\n", [":1: a: must be a mapping with the key `kind`"]),
        ("a: {table: x}\n", [":1: a: has no `kind`; allowed: better, not_inferior"]),
        ("a:\n  kind: beter\n", [":2: a: unknown kind `beter`; did you mean `better`?"]),
        ("A b: {}\n", [":1: A b: cannot name a claim"]),
        (GOOD.replace("{", "a: {modle: x, "), ["a.modle: unknown key; did you mean `model`?"]),
        (f"a: {GOOD}\nb: {GOOD}".replace("{", "{level: 2, "), [":1: a.level: `2`", ":2: b.level"]),
        ("a: {kind: not_inferior, table: t, model: conv, to: [identity]}", ["a.margin: is missing"]),
        ("a: {kind: better, table: t, model: conv, than: identity}", ["a.than: `identity` is not allowed"]),
        ("a: {kind: bound, table: t, model: conv}", ["needs either `above` or `below`"]),
        ("a: {kind: value, value: x, above: 1, below: 2}", ["needs either `above` or `below`"]),
        ("a: {kind: monotone, table: t, mixer: conv3, direction: rising}", ["a.mixer: names a mixer without"]),
        (GOOD.replace("{", "a: {sentence: It holds., "), ["a.sentence: ends without full stop"]),
        (GOOD.replace("{", "a: {metric: acuracy, "), ["a.metric: `acuracy` is not allowed; did you mean `accuracy`?"]),
        (GOOD.replace("{", "a: {datasets: [breastmist], "), ["`breastmist`; did you mean `breastmnist`?"]),
        ("a: " + GOOD.replace("_4t", "_5t"), ["unknown table `classification_5t`; did you mean `classification_4t`?"]),
        ("a: " + GOOD.replace("conv3", "clasification_4t/conv"), ["unknown table `clasification_4t`; did you mean"]),
        ("a: " + GOOD.replace("conv3", "poling"), ["unknown model `poling`; did you mean `pooling`?"]),
        ("a: " + GOOD.replace("conv3", "conv4"), ["the kernel of `conv` is an odd number from 3 to 99, not 4"]),
        ("a: " + GOOD.replace("conv3", "identity3"), ["the mixer `identity` takes no kernel"]),
        ("a: " + GOOD.replace("conv3", "local_attn5+slops"), ["unknown extension `slops`; did you mean `slopes`?"]),
        ("a: " + GOOD.replace("conv3", "conv.wrm"), ["unknown initialisation `wrm`; did you mean `warm`?"]),
        ("a: " + GOOD.replace("conv3", "s12-tttt-conf3"), ["unknown mixer `conf`; did you mean `conv`?"]),
        ("a: " + GOOD.replace("conv3", "'%$&{}'"), ["unknown model `%$&{}`"]),
        ("a: " + GOOD.replace("conv3", "a/b/c"), ["`a/b/c` is no model; write [TABLE/]MIXER"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message(
    claims: str, complaints: list[str], study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "claims.yaml").write_text(claims)
    status = main(["report", "claims", "--plan", str(study), "--source", str(tmp_path)])
    error = capsys.readouterr().err
    assert status == 2 and f"{tmp_path}/claims.yaml:" in error and "Traceback" not in error
    for complaint in complaints:
        assert complaint in error


def test_the_papers_own_claims_are_well_formed_and_made() -> None:
    claims, _ = load_claims(ROOT / "paper")
    assert len(claims) >= 10
    assert claim_problems(ROOT / "paper") == []
    assert unused_claims(ROOT / "paper") == []


def test_every_kind_and_field_is_documented() -> None:
    text = (ROOT / "docs/claims.md").read_text()
    for name, kind in KINDS.items():
        assert f"`{name}`" in text
        assert [field for field in kind.model_fields if f"`{field}`" not in text] == []


def manuscript(folder: Path, text: str) -> Path:
    (folder / "claims.yaml").write_text(
        f"said: {GOOD.replace('{', '{sentence: 50% of it_all, ')} # number: made up\nunsaid: {GOOD}\n"
    )
    (folder / "main.tex").write_text(text)
    return folder


@pytest.mark.parametrize(
    "text",
    [
        "\\claim{said}.",
        "\\claim{said}{50\\% of it\\_all}",
        "\\claim{said}{50\\%\n of\n it\\_all}",
        "\\claim{unsaid}{anything \\emph{at {all}}, 5\\}}",
        "% \\claim{unknown}",
    ],
)  # fmt: skip
def test_a_right_use_is_no_problem(text: str, tmp_path: Path) -> None:
    assert claim_problems(manuscript(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\n\\claim{sayd}", "main.tex:2: no claim has the key sayd; the nearest are said, unsaid"),
        ("\\claim{said}{50\\% of nothing}", "main.tex:1: claim said: claims.yaml has another sentence (50% of it_all)"),
        ("\\claim{said}\n  {50\\% of it\\_all}", "must follow its key without a space"),
    ],
)
def test_a_wrong_use_is_named(text: str, complaint: str, tmp_path: Path) -> None:
    (problem,) = claim_problems(manuscript(tmp_path, text))
    assert complaint in str(problem)


def test_a_number_typed_in_a_claim_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claims = manuscript(tmp_path, "\\claim{said} \\claim{sayd}") / "claims.yaml"
    more = "two:\n  kind: bound\n  table: t\n  model: conv3\n  above: 0.5\n"
    texts = "  holds: An AUC of 0.93\n  fails: None of 10 # number: seeds\n"
    claims.write_text(claims.read_text().replace(" # number: made up", "") + more + texts)
    # without a study, as `make lint` does
    assert main(["report", "check", "--source", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "claims.yaml:1: said.sentence: the number 50\\% is typed" in error
    assert "claims.yaml:8: two.holds: the number 0.93 is typed" in error and "# number: where it comes from" in error
    assert "two.fails" not in error and "two.above" not in error
    assert "no claim has the key sayd" in error


def test_a_forgotten_claim_is_reported(tmp_path: Path) -> None:
    (forgotten,) = unused_claims(manuscript(tmp_path, "\\claim{said}"))
    assert forgotten == f"{tmp_path}/claims.yaml:2: the manuscript never uses the claim unsaid"


def test_each_sentence_of_the_paper_is_understood_alone() -> None:
    claims, _ = load_claims(ROOT / "paper")
    leaning = re.compile(r"\b(they|them|it|there|as well|this|these|such|too)\b", re.IGNORECASE)
    sentences = [claim.sentence for claim in claims.values() if claim.sentence]
    assert len(sentences) > 10 and [text for text in sentences if leaning.search(text)] == []
