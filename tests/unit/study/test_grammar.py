"""The grammar of model names."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmix.errors import UserError
from tokenmix.study.checks import check
from tokenmix.study.config import Table
from tokenmix.study.grammar import EXTENSIONS, metaformer_name, parse_model
from tokenmix.study.mixers import MIXER_FOLDER, mixers

KNOWN = {
    **{"blur": True, "conv": True, "full_attn": False, "identity": False, "local_attn": True},
    **{"pooling": True, "sep_conv": True},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of mixers as `models/mixers` is one, with nothing in the files but what the grammar reads."""
    path = tmp_path_factory.mktemp("mixers")
    (path / "__init__.py").write_text("")
    for name, takes in KNOWN.items():
        (path / f"{name}.py").write_text(f'"""A mixer."""\nimport nowhere\n\nTAKES_KERNEL = {takes}\n')
    return path


def test_mixers_are_read_without_being_imported(folder: Path) -> None:
    assert mixers(folder) == KNOWN


def test_the_projects_mixers() -> None:
    found = mixers()
    assert {name for name, takes in found.items() if takes} == {"pooling", "conv", "sep_conv", "local_attn", "fcvit"}
    assert {name for name, takes in found.items() if not takes} == {
        "full_attn",
        "identity",
        "random",
        "random_learned",
    }


def test_a_new_file_is_a_new_mixer(folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text())
    with pytest.raises(UserError, match="unknown mixer `shift`"):
        parse_model("xs-tttt-shift3", tmp_path)
    (tmp_path / "shift.py").write_text("TAKES_KERNEL: bool = True\n")
    assert parse_model("xs-tttt-shift3", tmp_path).kernel == 3


def test_parts_of_a_name(folder: Path) -> None:
    spec = parse_model("s12-pptt-sep_conv7", folder)
    assert (spec.family, spec.scale, spec.arrangement, spec.mixer, spec.kernel) == (
        "metaformer",
        "s12",
        "pptt",
        "sep_conv",
        7,
    )
    assert parse_model("xs-tttt-identity", folder).kernel is None
    assert (parse_model("resnet18-k5", folder).family, parse_model("resnet18-k5", folder).kernel) == (
        "resnet",
        5,
    )


def test_a_model_needs_its_own_modules_and_no_others(folder: Path) -> None:
    family, mixer = "tokenmix.models.metaformer", "tokenmix.models.mixers."
    assert parse_model("xs-tttt-conv3", folder).modules() == (family, mixer + "conv")
    assert parse_model("xs-pptt-conv3", folder).modules() == (family, mixer + "pooling", mixer + "conv")
    assert parse_model("xs-pptt-pooling5", folder).modules() == (family, mixer + "pooling")
    assert parse_model("resnet18-k3", folder).modules() == ("tokenmix.models.resnet",)
    assert parse_model("fcvit_tiny", folder).modules() == ("tokenmix.models.fcvit",)
    extended = parse_model("xs-tttt-local_attn3+coordmlp+slopes", folder).modules()
    extensions = ("tokenmix.models.extensions.coordmlp", "tokenmix.models.extensions.slopes")
    assert extended == (family, mixer + "local_attn", *extensions)


def test_every_extension_of_the_grammar_is_a_file_and_the_other_way_round() -> None:
    files = {path.stem for path in (MIXER_FOLDER.parent / "extensions").glob("[a-z]*.py")}
    assert files == EXTENSIONS.keys()


def test_extensions_of_a_name(folder: Path) -> None:
    assert parse_model("s12-tttt-local_attn5", folder).extensions == ()
    spec = parse_model("s12-tttt-local_attn5+bilinear+coordmlp+slopes+register", folder)
    assert (spec.mixer, spec.kernel) == ("local_attn", 5)
    assert spec.extensions == ("bilinear", "coordmlp", "slopes", "register")
    assert parse_model("s12-pptt-full_attn+bilinear", folder).extensions == ("bilinear",)
    assert metaformer_name("xs", "pptt", "local_attn+slopes", 5) == "xs-pptt-local_attn5+slopes"


def test_rows_of_a_table_have_extensions(folder: Path) -> None:
    mixers = {"local_attn": [5], "local_attn+slopes": [5], "local_attn+bilinear+cls": [3, 5]}
    models = ["local_attn5", "local_attn5+slopes", "local_attn3+bilinear+cls", "local_attn5+bilinear+cls"]
    assert Table.model_validate({"mixers": mixers}).models() == [f"s12-tttt-{model}" for model in models]
    found = check({"tables": {"t": {"mixers": mixers}}}, {}, folder)
    assert [place for place, _ in found if place[0] == "tables"] == []
    wrong = {"local_attn+cls": [5], "local_attn+slope": [5], "conv+slopes": [3], "local_attn+register": False}
    found = check({"tables": {"t": {"arrangement": "pptt", "mixers": wrong}}}, {}, folder)
    names = [place[-1] for place, _ in found if place[0] == "tables"]
    assert names == ["local_attn+cls", "local_attn+slope", "conv+slopes"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("xs-tttt-conv4", ["odd", "3 and 5"]),
        ("xs-tttt-conv1", ["odd number from 3"]),
        ("xs-tttt-conv101", ["from 3 to 99"]),
        ("xs-tttt-conv03", ["`03`"]),
        ("xs-tttt-conv", ["needs a kernel"]),
        ("xs-tttt-identity3", ["takes no kernel"]),
        ("xs-tttt-poolin3", ["unknown mixer `poolin`", "did you mean `pooling`", "sep_conv"]),
        ("xs-ttt-conv3", ["`ttt`", "4 letters"]),
        ("xs-ttttt-conv3", ["4 letters"]),
        ("xs-tatt-conv3", ["4 letters"]),
        ("xs-pppp-conv3", ["never uses the mixer"]),
        ("s13-tttt-conv3", ["did you mean `s12`", "xs"]),
        ("resnet18-k4", ["resnet18-k3, resnet18-k5, resnet18-k7"]),
        ("resnet34-k3", ["unknown ResNet"]),
        ("resnet18", ["unknown ResNet"]),
        ("fcvit_b13", ["unknown FCViT", "did you mean `fcvit_b12`", "fcvit_tiny"]),
        ("fcvit", ["unknown FCViT"]),
        ("fcvit11", ["unknown FCViT"]),
        ("conv3", ["xs-tttt-pooling3"]),
        ("s13-ttt-poolin4", ["scale", "arrangement", "mixer"]),
        ("xs-tttt-local_attn5+slope", ["unknown extension `slope`", "did you mean `slopes`", "register"]),
        ("xs-tttt-local_attn5+", ["unknown extension"]),
        ("xs-tttt-conv3+cls", ["`conv` cannot have `+cls`", "local_attn"]),
        ("xs-tttt-identity+slopes", ["`identity` cannot have `+slopes`"]),
        ("xs-pptt-local_attn5+cls", ["`+cls` needs attention in all stages", "tttt"]),
        ("xs-tttt-local_attn5+cls+register", ["exclude each other"]),
        ("xs-tttt-local_attn5+slopes+coordmlp", ["in this order: +coordmlp+slopes"]),
        ("xs-tttt-local_attn5+slopes+slopes", ["written once"]),
        ("xs-tttt-local_attn+slopes", ["needs a kernel"]),
        ("xs-tttt-local_attn+slopes5", ["needs a kernel", "`slopes5`"]),
    ],
)
def test_a_wrong_name_says_what_is_right(folder: Path, name: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_model(name, folder)
    assert name in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("shift.py", "def (:\n", ["shift.py:1", "not valid Python"]),
        ("shift.py", "x = 1\n", ["shift.py", "TAKES_KERNEL"]),
        ("shift.py", "\nTAKES_KERNEL = 3\n", ["shift.py:2", "True or False"]),
        ("conv2.py", "TAKES_KERNEL = True\n", ["conv2", "rename"]),
    ],
)
def test_a_wrong_mixer_file(tmp_path: Path, file: str, text: str, words: list[str]) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError) as caught:
        mixers(tmp_path)
    for word in words:
        assert word in str(caught.value)


@settings(deadline=None, max_examples=60)
@given(
    scale=st.sampled_from(["s12", "xs"]),
    arrangement=st.text("tp", min_size=4, max_size=4).filter(lambda letters: "t" in letters),
    mixer=st.sampled_from(sorted(KNOWN)),
    half=st.integers(1, 49),
)
def test_names_are_read_back(folder: Path, scale: str, arrangement: str, mixer: str, half: int) -> None:
    kernel = 2 * half + 1 if KNOWN[mixer] else None
    spec = parse_model(metaformer_name(scale, arrangement, mixer, kernel), folder)
    assert (spec.scale, spec.arrangement, spec.mixer, spec.kernel) == (scale, arrangement, mixer, kernel)
    assert metaformer_name(scale, arrangement, mixer, kernel) == spec.name


_FRAGMENTS = st.sampled_from(
    [
        "xs",
        "s12",
        "fcvit_",
        "tiny",
        "-",
        "tttt",
        "p",
        "conv",
        "local_attn",
        "+",
        "+cls",
        "3",
        "٣",
        "²",
        "resnet18",
        "-k",
        "\n",
        "",
    ]
)


@settings(deadline=None, max_examples=150)
@given(name=st.one_of(st.text(), st.lists(_FRAGMENTS, max_size=8).map("".join)))
def test_any_text_is_a_model_or_a_users_mistake(folder: Path, name: str) -> None:
    try:
        spec = parse_model(name, folder)
    except UserError:
        return
    if spec.family == "fcvit":
        assert name == f"fcvit_{spec.scale}"
        return
    parts = (spec.scale, spec.arrangement, "+".join([spec.mixer or "", *spec.extensions]), spec.kernel)
    assert name == (f"resnet18-k{spec.kernel}" if spec.family == "resnet" else metaformer_name(*parts))  # type: ignore[arg-type]
