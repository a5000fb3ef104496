"""Mistakes in a study's config: all at once, each with its place, the nearest word and what is allowed."""

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from tokenmix.cli import main
from tokenmix.errors import UserError
from tokenmix.study.explain import findings_of
from tokenmix.study.load import load_config
from tokenmix.study.protocol import Section

BASE = """\
study: small
training: {lr: 1.0e-3}
datasets:
  breastmnist: {size: 28}
tables:
  first:
    datasets: [breastmnist]
    mixers: {pooling: [3]}
"""


#: a study without the section
BASE_WITHOUT = {
    "datasets": "tables: {first: {datasets: [breastmnist], mixers: {pooling: [3]}}}",
    "tables": "datasets: {breastmnist: {size: 28}}",
}

#: each line holds the one before nine times; each line holds the one before once
LAUGHS = b"a0: &a0 [1]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 30)
)
CHAIN = b"a0: &a0 [1]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (i, i, i - 1) for i in range(1, 200))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "workflow" / "studies").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text(BASE)
    (tmp_path / "workflow" / "studies" / "small.yaml").write_text("seeds: [0]\n")
    return tmp_path


def mistakes(root: Path, **arguments: Any) -> list[str]:
    """The lines of the report, without its heading."""
    with pytest.raises(UserError) as caught:
        load_config(root, **arguments)
    heading, *lines = str(caught.value).splitlines()
    assert heading.startswith(f"{len(lines)} mistake")
    return [line.strip() for line in lines]


def overlaid(root: Path, text: str) -> list[str]:
    (root / "workflow" / "studies" / "small.yaml").write_text(text)
    return mistakes(root)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("paper_tables: [switches]", "paper_tables", ["needs at least one of its `tables`: first"]),
        ("paper_tables: 5", "paper_tables", ["list"]),
        ("paper_tables: [frist]", "paper_tables.0", ["`frist` is not one of `tables`", "did you mean `first`?"]),
        ("tables: {first: {training: {min_lr: 1}}}", "tables.first.training.min_lr", ["min_lr (1) is above lr"]),
        ("tables: {first: {init: pretrained, mixers: {conv: [3]}}}", "tables.first.mixers.conv", ["no pretrained"]),
        ("tables: {first: {init: matched, mixers: {conv: [3]}}}", "tables.first.mixers.conv", ["no pretrained"]),
        ("tables: {first: {init: warm}}", "tables.first.init", ["`warm`", "pretrained"]),
        ("trainin: {lr: 1}", "trainin", ["did you mean `training`?", "profile"]),
        ("training: {lrr: 1}", "training.lrr", ["did you mean `lr`?", "weight_decay"]),
        ("head_dim: 16", "head_dim", ["did you mean `model.head_dim`?"]),
        ("training: {seeds: [1]}", "training.seeds", ["did you mean `seeds`?"]),
        ("training: {iterations: many}", "training.iterations", ["`many`", "whole number (at least 1"]),
        ("training: {iterations: 1.5}", "training.iterations", ["`1.5`", "whole number"]),
        ("training: {iterations: true}", "training.iterations", ["`true`", "whole number"]),
        ('training: {iterations: "10"}', "training.iterations", ['`"10"`', "whole number"]),
        ("training: {lr: -1}", "training.lr", ["`-1`", "above 0"]),
        ("training: {lr: .nan}", "training.lr", ["`nan`", "a number"]),
        ("training: {min_lr: 1e-2}", "training.min_lr", ["min_lr (0.01) is above lr (0.001)"]),
        ("training: {label_smoothing: 1}", "training.label_smoothing", ["at least 0 and below 1"]),
        ("training: {precision: fp16}", "training.precision", ["did you mean `bf16`?", "bf16, fp32"]),
        ("training: {compile: yes}", "training.compile", ["write true", "true or false"]),
        ("training: {divergence: {policy: ladder, ladder: []}}", "training.divergence.ladder", ["needs a rung"]),
        (
            "training: {divergence: {ladder: [{lr_factr: 1}]}}",
            "training.divergence.ladder.0.lr_factr",
            ["`lr_factor`"],
        ),
        ("execution: {runs_at_once: 99}", "execution.runs_at_once", ["`99`", "at least 1 and at most 64), or auto"]),
        ("execution: {runs_at_once: aut}", "execution.runs_at_once", ["`aut`", "did you mean `auto`?", "at most 64"]),
        ("execution: {runs_at_once: }", "execution.runs_at_once", ["`null`", "at most 64), or auto"]),
        ("data: {mirrors: [a, ~nosuchuser/x]}", "data.mirrors.1", ["`~nosuchuser/x`", "write the whole path"]),
        (
            "training: {divergence: {ladder: [{lr_factor: 0.5}, {lr_factor: 0.1}]}}",
            "training.divergence.ladder.1.mark",
            ["another remedy", "`*`", "like `#`"],
        ),
        (
            'tables: {first: {training: {divergence: {ladder: [{mark: "+"}, {mark: a}, {mark: "+"}]}}}}',
            "tables.first.training.divergence.ladder.2.mark",
            ["`+`"],
        ),
        (
            "tables: {first: {mixers: {full_attn: }}}\nmodel: {head_dim: 24}",
            "model.head_dim",
            ["24", "width 64 of `s12` in table `first`", "allowed: 1, 2, 4, 8, 16, 32, 64"],
        ),
        (
            "tables: {first: {scale: xs, mixers: {local_attn+slopes: [3]}}}\nmodel: {head_dim: 32}",
            "model.head_dim",
            ["width 16 of `xs`", "allowed: 16"],
        ),
        (
            "tables: {first: {baselines: [s12-pptt-local_attn3, xs-tttt-full_attn]}}\nmodel: {head_dim: 1024}",
            "model.head_dim",
            ["allowed: 16"],
        ),
        (
            "tables: {first: {mixers: {local_attn: [3]}}}\nmodel: {head_dim: 8}",
            "model.head_dim",
            ["local attention on GPUs, in table `first`", "allowed: 16, 32, 64;", "needs_gpu: false"],
        ),
        (
            "execution: {needs_gpu: false}\n"
            "tables: {first: {scale: xs, mixers: {local_attn: [3]}}}\nmodel: {head_dim: 3}",
            "model.head_dim",
            ["width 16 of `xs`", "allowed: 1, 2, 4, 8, 16"],
        ),
        (
            "switches: [{dataset: breastmnist, model: xs-tttt-local_attn3}]\nmodel: {head_dim: 64}",
            "model.head_dim",
            ["width 16 of `xs` in `switches`"],
        ),
        ("training: 3", "training", ["a mapping with the keys iterations, "]),
        *[
            (f"tables: {{{name}: {{mixers: {{pooling: [3]}}}}}}", f"tables.{name}", [f"`{name}` is the name of a"])
            for name in ("reported", "reported_noise", "of_datasets", "of_reported", "of_switches")
        ],
        ("seeds: 3", "seeds", ["a list of one or more"]),
        ("seeds: []", "seeds", ["a list of one or more"]),
        ("seeds: [0, 0]", "seeds.1", ["twice"]),
        ("evaluation: {level: 95}", "evaluation.level", ["above 0.5 and below 1"]),
        ("profile: {mac_kernels: [3, 4]}", "profile.mac_kernels.1", ["odd", "3 and 5"]),
        (
            "datasets: {breastmnst: {size: 28}}",
            "datasets.breastmnst",
            ["did you mean `breastmnist`?", "tokenmix data register"],
        ),
        (
            "datasets: {breastmnist: {size: 32}}",
            "datasets.breastmnist.size",
            ["did you mean 28?", "28, 64, 128, 224"],
        ),
        ("datasets: {pathmnist: {}}", "datasets.pathmnist.size", ["is missing"]),
        ("datasets: {Path.x: {size: 28}}", "datasets.Path.x", ["small letters"]),
        ("datasets: {breastmnist: {training: {lr: 0}}}", "datasets.breastmnist.training.lr", ["above 0"]),
        (
            "datasets: {breastmnist: {training: {min_lr: 1}}}",
            "datasets.breastmnist.training.min_lr",
            ["is above lr"],
        ),
        (
            "tables: {first: {datasets: [pathmnist]}}",
            "tables.first.datasets.0",
            ["not one of this study's", "breastmnist"],
        ),
        (
            "tables: {first: {metrics: [acuracy]}}",
            "tables.first.metrics.0",
            ["did you mean `accuracy`?", "balanced_accuracy"],
        ),
        ("tables: {first: {scale: s24}}", "tables.first.scale", ["s12, xs"]),
        ("tables: {first: {arrangement: ttt}}", "tables.first.arrangement", ["4 letters"]),
        (
            "tables: {first: {mixers: {poling: [3]}}}",
            "tables.first.mixers.poling",
            ["did you mean `pooling`?", "sep_conv"],
        ),
        ("tables: {first: {mixers: {conv: [4]}}}", "tables.first.mixers.conv.0", ["odd", "3 and 5"]),
        ("tables: {first: {mixers: {conv: [3, 3]}}}", "tables.first.mixers.conv.1", ["twice"]),
        ("tables: {first: {mixers: {conv: }}}", "tables.first.mixers.conv", ["needs kernels"]),
        ("tables: {first: {mixers: {identity: [3]}}}", "tables.first.mixers.identity", ["takes no kernel"]),
        ("tables: {first: {mixers: {pooling: false}}}", "tables.first", ["no model"]),
        ("tables: {first: {baselines: [resnet18-k4]}}", "tables.first.baselines.0", ["resnet18-k3"]),
        ("tables: {A-b: {baselines: [resnet18-k3]}}", "tables.A-b", ["small letters"]),
        ("tables: {first: false}", "tables", ["at least one table"]),
        (
            "datasets: {adrenalmnist3d: {size: 28}}\n"
            "tables: {first: {datasets: [adrenalmnist3d], baselines: [fcvit_b12]}}",
            "tables.first.baselines.0",
            ["`adrenalmnist3d` is three-dimensional", "`fcvit_b12` is made for two-dimensional images"],
        ),
        (
            "datasets: {adrenalmnist3d: {size: 28}}\ntables: {first: {datasets: , mixers: {local_attn+cls: [3]}}}",
            "tables.first.mixers.local_attn+cls",
            ["three-dimensional", "leave out `+cls`"],
        ),
        (
            "datasets: {adrenalmnist3d: {size: 28}}\ntables: {first: {init: pretrained, datasets: [adrenalmnist3d], "
            "mixers: {pooling: false}, baselines: [resnet18-k3]}}",
            "tables.first.init",
            ["`adrenalmnist3d` is three-dimensional", "published weights", "init: scratch"],
        ),
        (
            "datasets: {adrenalmnist3d: {size: 28}}\ntables: {first: {init: matched, datasets: [adrenalmnist3d], "
            "mixers: {pooling: false}, baselines: [resnet18-k3]}}",
            "tables.first.init",
            ["`adrenalmnist3d` is three-dimensional", "init: scratch"],
        ),
        ("study: full", "study", ["an overlay cannot choose the study"]),
        ("results: ''", "results", ["not empty"]),
        ("title: a\ntitle: b", "title", ["written twice, first in line 1"]),
        (
            "tables:\n  x: {baselines: [resnet18-k3]}\n  x: {baselines: [resnet18-k5]}",
            "tables.x",
            ["written twice", "first in line 3"],
        ),
    ],
)
def test_each_mistake_is_named_once_where_it_stands(project: Path, text: str, place: str, words: list[str]) -> None:
    (line,) = overlaid(project, f"# an overlay\n{text}\n")
    number = 2 + text.count("\n")
    assert line.startswith(
        (
            f"workflow/studies/small.yaml:{number}: {place}: ",
            f"config.yaml:5: {place}: ",
            f"config.yaml:6: {place}: ",
        )
    )
    for word in words:
        assert word.replace("first in line 1", "first in line 2") in line


@pytest.mark.parametrize("text", ["datasets: [breastmnist]", "tables: [first]\npaper_tables: [first]"])
def test_a_list_where_names_belong_is_the_only_mistake(project: Path, text: str) -> None:
    name = text.partition(":")[0]
    (project / "config.yaml").write_text(f"study: small\n{BASE_WITHOUT[name]}\n{text}\n")
    (line,) = mistakes(project)
    assert f" {name}: `[" in line and "a mapping" in line


def test_heads_below_16_are_for_cpus(project: Path) -> None:
    overlay = "model: {head_dim: 8}\nexecution: {needs_gpu: false}\ntables: {first: {mixers: {local_attn: [3]}}}\n"
    (project / "workflow/studies/small.yaml").write_text(overlay)
    assert load_config(project).model.head_dim == 8
    (project / "workflow/studies/small.yaml").write_text(
        "model: {head_dim: 8}\ntables: {first: {mixers: {full_attn: }}}\n"
    )
    assert load_config(project).model.head_dim == 8


def test_a_value_of_several_types_is_explained_as_one() -> None:
    class Inner(Section):
        edge: int

    class Outer(Section):
        steps: list[Annotated[int, Field(ge=1)] | Literal["all", "none"]]
        shape: Inner | bool | None = None

    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"steps": [3, "al"], "shape": {"edges": 1}})
    steps, shape = findings_of(caught.value, Outer).items()
    whole = "a whole number (at least 1), or one of all, none"
    assert steps == (("steps", 1), f"`al` is not allowed; did you mean `all`? needs {whole}")
    assert shape[0] == ("shape",) and "a mapping with the keys edge, or true or false, or nothing" in shape[1]


def test_a_key_may_read_like_the_mark_of_the_library_that_checks_types(project: Path) -> None:
    (mixer,) = overlaid(project, "tables: {first: {mixers: {'[key]': 5}}}")
    assert "tables.first.mixers.[key]: " in mixer and "`5` is not allowed" in mixer
    (top,) = overlaid(project, "'[key]': 1")
    assert "[key]: unknown key" in top
    (inner,) = overlaid(project, "tables: {first: {'[key]': 1}}")
    assert "tables.first.[key]: unknown key" in inner
    (name,) = overlaid(project, "tables: {'[key]': {mixers: {pooling: [3]}}}")
    assert "tables.[key]: `[key]` cannot be a name here; it needs a text of small letters" in name


@pytest.mark.parametrize(
    "text",
    [
        "model: {head_dim: 24}",
        "tables: {first: {mixers: {full_attn: }}}\nmodel: {head_dim: 64}",
        "tables: {other: {mixers: {full_attn: }}}\npaper_tables: [first]\nmodel: {head_dim: 24}",
        "tables: {first: {mixers: {full_attn: false}}}\nmodel: {head_dim: 24}",
    ],
)
def test_heads_have_to_fit_where_there_is_attention_only(project: Path, text: str) -> None:
    (project / "workflow/studies/small.yaml").write_text(text)
    assert load_config(project).model.head_dim in (24, 64)


def test_the_full_study_has_no_overlay(project: Path) -> None:
    (project / "workflow/studies/full.yaml").write_text("seeds: [7]\n")
    (line,) = mistakes(project, study="full")
    assert "workflow/studies/full.yaml" in line and "rename" in line


def test_mistakes_of_both_files_and_of_the_command_line_come_together(project: Path) -> None:
    (project / "config.yaml").write_text(BASE + "evaluation:\n  boostrap: 10\n  level: 3\n")
    (project / "workflow" / "studies" / "small.yaml").write_text(
        "training:\n  lr: fast\n  threads: 0\ntables:\n  first:\n    mixers: {convv: [3]}\n"
    )
    lines = mistakes(project, overrides={"model": {"head_dim": "0"}, "datasets": {"brestmnist": {"size": "28"}}})
    assert [line.partition(": ")[0] for line in lines] == [
        "config.yaml:10",
        "config.yaml:11",
        "workflow/studies/small.yaml:2",
        "workflow/studies/small.yaml:3",
        "workflow/studies/small.yaml:6",
        "command line",
        "command line",
    ]


def test_a_missing_field_points_to_the_file_that_wrote_its_section_last(project: Path) -> None:
    (project / "config.yaml").write_text(BASE.replace("tables:", "  pathmnist: {ranked: false}\ntables:"))
    text = "datasets.pathmnist.size: is missing; it needs"
    (line,) = overlaid(project, "datasets:\n  breastmnist: {ranked: false}\n")
    assert line.startswith(f"config.yaml:5: {text}")
    (line,) = overlaid(project, "datasets:\n  pathmnist: {training: {lr: 0.1}}\n")
    assert line.startswith(f"workflow/studies/small.yaml:2: {text}")


def test_a_file_that_is_not_yaml_does_not_hide_the_other_files_mistakes(project: Path) -> None:
    (project / "config.yaml").write_text("seeds: [0\ntraining:\n")
    (project / "workflow" / "studies" / "small.yaml").write_text("training: {lrr: 1}\n")
    first, second = mistakes(project, study="small")
    assert first.startswith("config.yaml:2: is not valid YAML")
    assert second.startswith("workflow/studies/small.yaml:1: training.lrr: unknown key")
    assert len(mistakes(project)) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: \xff\n", ["config.yaml: is not UTF-8"]),
        (b"- 1\n", ["config.yaml:1: must be a mapping"]),
        (b"a:\n\tb: 1\n", ["config.yaml:2: is not valid YAML"]),
        (b"seeds: !!python/object/apply:os.getcwd []\n", ["config.yaml:1: tags are not used here"]),
        (b"!mine\nsede: 1\n", ["config.yaml:1: tags are not used here", "config.yaml:2: sede: unknown key"]),
        (b"seeds: &x [*x]\n", ["config.yaml:1: an alias stands inside what it names"]),
        (b"? [1]\n: 2\n", ["config.yaml:1: a key must be a word"]),
        (b"3: 4\n", ["config.yaml:1: 3: unknown key"]),
        (b"", ["at least one table", "at least one data set"]),
        pytest.param(b"a: " + b"[" * 300_000, ["config.yaml:1: more than 64 levels"], id="deep lists"),
        pytest.param(b"a: " + b"{b: " * 900 + b"}" * 900, ["config.yaml:1: more than 64 levels"], id="deep mappings"),
        pytest.param(LAUGHS, ["more than 64 levels or 50000 values"], id="aliases that stand for billions"),
        pytest.param(CHAIN, ["more than 64 levels or 50000 values"], id="aliases that nest without depth"),
        pytest.param(b"seeds: [" + b"1," * 60_000 + b"]", ["or 50000 values"], id="long"),
    ],
)
def test_broken_files(project: Path, content: bytes, words: list[str]) -> None:
    (project / "config.yaml").write_bytes(content)
    for study in ("full", None):  # named, or as this very file says
        report = "\n".join(mistakes(project, study=study))
        for word in words:
            assert word in report


@pytest.mark.parametrize("rate", ["1" + "0" * 400, "-1" + "0" * 400, "1e999", ".inf"])
@pytest.mark.parametrize("key", ["lr", "min_lr", "warmup_lr"])
def test_numbers_of_any_size_are_refused_where_they_stand(project: Path, key: str, rate: str) -> None:
    (line,) = overlaid(project, f"training: {{{key}: {rate}}}\n")
    assert f"training.{key}: `" in line


def test_long_lists_and_mappings_take_time_in_proportion(project: Path) -> None:
    seconds = []
    for length in (1_000, 20_000):
        left_out = ", ".join(f"x{number}: false" for number in range(length))
        text = f"seeds: {list(range(length))}\ndatasets: {{{left_out}}}\n"
        (project / "workflow" / "studies" / "small.yaml").write_text(text)
        started = time.process_time()
        config = load_config(project)
        seconds.append(time.process_time() - started)
        assert (len(config.seeds), list(config.datasets)) == (length, ["breastmnist"])
    assert seconds[1] < 100 * seconds[0]  # comparing each with each would take 400 times as long


def test_no_config_at_all(tmp_path: Path) -> None:
    assert mistakes(tmp_path)[0].endswith("there is no such file; restore it, or start in the project's folder")


def test_an_unknown_study_lists_those_there_are(project: Path) -> None:
    (line,) = mistakes(project, study="smal")
    assert line == "command line: study: unknown study `smal`; did you mean `small`? allowed: small, full"
    (project / "config.yaml").write_text(BASE.replace("study: small", "study: big"))
    (line,) = mistakes(project)
    assert line.startswith("config.yaml:1: study: unknown study `big`")


def test_an_unknown_study_does_not_hide_other_mistakes(project: Path) -> None:
    (project / "config.yaml").write_text(BASE + "titel: x\n")
    assert len(mistakes(project, study="smal")) == 2


def test_a_broken_registered_folder_is_named(project: Path) -> None:
    (project / "data" / "registered").mkdir(parents=True)
    (project / "data" / "registered" / "mine.yaml").write_text("kind: foldr\ntitle: x\n")
    with pytest.raises(UserError, match=r"mine\.yaml:1: kind: `foldr` is not allowed; did you mean `folder`\?"):
        load_config(project)


def test_a_command_prints_the_report_without_a_traceback(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    (project / "config.yaml").write_text(BASE + "titel: x\n")
    assert main(["plan"]) == 2
    assert "did you mean `title`?" in capsys.readouterr().err
