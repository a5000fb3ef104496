"""Published values find our cells, are compared with them, and held against the noise of our seeds."""

import csv
import json
import math
import shutil
from itertools import combinations
from pathlib import Path

import pytest
from fake_studies import PUBLISHED, make_study, open_study

from tokenmix.errors import UserError
from tokenmix.reporting import figures, reported
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.published import read_published
from tokenmix.reporting.registry import Registry

S12 = ("s12-tttt-pooling3", "s12-tttt-sep_conv5", "s12-tttt-local_attn5", "s12-tttt-local_attn5+slopes",
       "s12-tttt-full_attn", "s12-pptt-conv3", "resnet18-k3")  # fmt: skip


COLUMN = ("imagewoof-224", "balanced_accuracy")


def _rows(study: Study, name: str = "reported") -> list[dict[str, str]]:
    with (study.paper / f"tables/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _study(tmp_path: Path, **options) -> Study:
    return open_study(tmp_path, **{"models": S12, "datasets": ("imagewoof", "pathmnist"), "size": 224} | options)


def test_each_published_value_meets_the_cell_it_names(tmp_path: Path) -> None:
    study = _study(tmp_path)
    rows = _rows(study)
    found = {(row["table"].split(" ")[0], row["dataset"], row["model"], row["metric"]): row for row in rows}
    assert len(found) == len(rows)
    # the values as they stand in the published tables
    for table, dataset, model, metric, value in (
        ("classification", "pathmnist-224", "s12-tttt-pooling3", "balanced_accuracy", 0.8817),
        ("extension", "imagewoof-224", "s12-tttt-local_attn5+slopes", "auc", 0.8942),
        ("extension", "imagewoof-224", "s12-tttt-local_attn5", "accuracy", 0.6529),
        ("patch", "imagewoof-224", "s12-tttt-local_attn5", "auc", 0.892),
        ("screening:", "pathmnist-224", "resnet18-k3", "accuracy", 0.87),
    ):
        row = found[table, dataset, model, metric]
        ours = study.cells[dataset, model, "scratch", metric]
        assert float(row["reported"]) == pytest.approx(value, abs=5e-4)
        assert float(row["reproduced"]) == ours.mean
        assert float(row["difference"]) == pytest.approx(ours.mean - value, abs=5e-4)
        assert float(row["difference_low"]) == pytest.approx(ours.low - value, abs=5e-4)
        assert (row["inside"] == "1") == (ours.low <= value <= ours.high)
    # grouped convolution is our depthwise one, global attention has no kernel, both arrangements are kept apart
    assert {row["model"] for row in rows} == set(S12)
    assert {row["init"] for row in rows} == {"scratch"}
    assert {row["inside"] for row in rows} == {"0", "1"}
    assert all(row["alike"] == "1" for row in rows)


def test_a_pretrained_start_meets_its_own_kind(tmp_path: Path) -> None:
    models = ("s12-pptt-conv3", "s12-pptt-local_attn5")
    path = make_study(tmp_path, models=models, datasets=("pathmnist",), size=224)
    published = read_published(PUBLISHED)

    def auc(init: str) -> dict[str, float]:
        index = path.read_text().replace("scratch", init)
        other = tmp_path / "results/plan/other.json"
        other.write_text(index)
        for kind in ("cells", "pairs"):
            file = tmp_path / f"results/fake/metrics/classification_4t/pathmnist-224.{kind}.csv"
            file.write_text(file.read_text().replace("scratch", init).replace("cold", init).replace("warm", init))
        compared = reported.compare(Study.open(other), published)
        return {entry.model: entry.reported for entry in compared if entry.metric == "auc"}

    with (PUBLISHED / "classification_2P2T_pretrained.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == "pathmnist"]
    value = {
        (row["mixer"], row["kernel"], row["init"]): float(row["value"])
        for row in rows
        if row["metric"] == "auc_macro_ovr"
    }
    for init in ("warm", "cold"):
        # convolutions have no attention weights, and so one published value for both starts
        attention = value["local_attn", "5", f"imagenet_{init}"]
        assert auc(init) == {models[0]: value["conv", "3", "imagenet"], models[1]: attention}
    assert value["local_attn", "5", "imagenet_warm"] != value["local_attn", "5", "imagenet_cold"]


def test_reused_rows_stand_for_the_model_whose_row_shows_them(tmp_path: Path) -> None:
    pooling, conv = "s12-tttt-pooling3", "s12-pptt-conv3"
    path = make_study(tmp_path, models=(pooling, conv), datasets=("pathmnist",), size=224)
    table = {"arrangement": "pptt", "rows": [[pooling, "scratch"], [conv, "scratch"]], "reused": [pooling]}
    index = json.loads(path.read_text())
    index["tables"]["classification_4t"] |= table
    path.write_text(json.dumps(index))
    study = Study.open(path)
    reported.write(study, PUBLISHED, study.paper / "tables")
    (both,) = [
        {
            row["table"].split(" from")[0]: row
            for row in _rows(study)
            if (row["model"], row["metric"]) == (pooling, "auc")
        }
    ]
    hybrid, plain = both["classification [P,P,T,T]"], both["classification [T,T,T,T]"]
    assert hybrid["reproduced"] == plain["reproduced"]
    assert (hybrid["reused"], plain["reused"]) == ("1", "0")
    assert {row["reused"] for row in _rows(study) if row["model"] == conv} == {"0"}
    tex = (study.paper / "tables/reported.tex").read_text()
    assert tex.count("pathmnist\\textsuperscript{\\textparagraph}") == 3  # one a metric
    assert "the runs of [T,T,T,T], reused as in the published study" in tex


def test_another_size_is_compared_but_no_reproduction(tmp_path: Path) -> None:
    study = _study(tmp_path, size=64)
    assert {row["alike"] for row in _rows(study)} == {"0"}
    tex = (study.paper / "tables/reported.tex").read_text()
    assert "Images of 64 pixels, published at 224" in tex
    registry = Registry()
    reported.add_reported(registry, study)
    assert registry["reported/compared"].value > 0
    assert (registry["reported/alike"].value, registry["reported/share"].text) == (0, "n/a")


def test_a_study_without_published_cells_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = open_study(tmp_path, datasets=("phantom_organs",), models=("xs-tttt-conv3", "xs-tttt-identity"))
    assert "999 published values: 0 compared, 999 skipped" in capsys.readouterr().out
    assert "Nothing to compare: this study ran none" in (study.paper / "tables/reported.tex").read_text()
    assert _rows(study) == []
    figure, _ = figures.reported(study)
    assert figure.axes[0].texts[0].get_text().startswith("Nothing to compare")
    figures.write(study, "reported", tmp_path)
    shown = (tmp_path / "reported.tex").read_text()
    assert "\\caption{Left out. Nothing to compare" in shown and "includegraphics" not in shown
    registry = Registry()
    reported.add_reported(registry, study)
    assert registry["reported/compared"].value == 0
    assert (registry["reported/share"].value, registry["reported/share"].text) == (None, "n/a")


def test_a_small_model_is_not_the_published_one(tmp_path: Path) -> None:
    assert {row["model"] for row in _rows(_study(tmp_path, models=("xs-tttt-conv3", "resnet18-k3")))} == {"resnet18-k3"}


def test_a_diverged_cell_is_marked_and_not_counted(tmp_path: Path) -> None:
    study = _study(tmp_path, models=S12[:2], diverged=(("pathmnist", S12[0]),))
    rows = _rows(study)
    assert {row["model"] for row in rows if row["diverged"] == "1"} == {S12[0]}
    registry = Registry()
    reported.add_reported(registry, study)
    finished = [row for row in rows if row["diverged"] == "0"]
    assert registry["reported/alike"].value == len(finished) < len(rows)
    assert registry["reported/inside"].value == sum(row["inside"] == "1" for row in finished)
    tex = (study.paper / "tables/reported.tex").read_text()
    assert "Pathmnist" not in tex
    assert "pathmnist\\textsuperscript{\\textdagger}" in tex
    assert "training diverged; the last good checkpoint is shown" in tex


def test_published_differences_against_seed_noise(tmp_path: Path) -> None:
    study = _study(tmp_path)
    with (PUBLISHED / "classification_4T_scratch.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    own = [cell for cell in study.cells.values() if (cell.dataset, cell.metric) == COLUMN]
    noise = math.sqrt(sum(cell.std**2 for cell in own) / len(own))
    values = [float(row["value"]) for row in rows if (row["dataset"], row["metric"]) == ("imagewoof", COLUMN[1])]
    differences = [abs(a - b) for a, b in combinations(values, 2)]
    (found,) = [
        row
        for row in _rows(study, "reported_noise")
        if (row["dataset"], row["metric"], row["table"]) == ("imagewoof", COLUMN[1], rows[0]["table"])
    ]
    assert float(found["noise"]) == pytest.approx(noise)
    assert int(found["pairs"]) == len(differences) == 18 * 17 / 2
    assert int(found["larger"]) == sum(difference > 1.959964 * math.sqrt(2) * noise for difference in differences)
    assert 0 < int(found["larger"]) < len(differences)
    # data sets that this study did not train on have no noise to compare with, and do not count
    noiseless = [row for row in _rows(study, "reported_noise") if row["dataset"] == "dermamnist"]
    assert noiseless
    assert {(row["noise"], row["larger"]) for row in noiseless} == {("nan", "0")}
    registry = Registry()
    reported.add_reported(registry, study)
    told = [row for row in _rows(study, "reported_noise") if row["noise"] != "nan"]
    pairs, larger = (sum(int(row[name]) for row in told) for name in ("pairs", "larger"))
    assert registry["reported/pairs"].value == pairs
    assert registry["reported/share"].value == pytest.approx(larger / pairs)
    assert registry["reported/share"].text == f"{100 * larger / pairs:.0f}\u202f%"


def test_one_seed_tells_nothing_about_noise(tmp_path: Path) -> None:
    assert {row["noise"] for row in _rows(_study(tmp_path, seeds=(0,)), "reported_noise")} == {"nan"}


def test_the_scatter_shows_every_comparison(tmp_path: Path) -> None:
    study = _study(tmp_path)
    figure, caption = figures.reported(study)
    titles = [axis.get_title() for axis in figure.axes]
    assert set(titles) == {"accuracy", "balanced accuracy", "macro AUC", "macro F1"}
    axis = figure.axes[titles.index("macro AUC")]
    dots = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines if line.get_marker() != "None"]
    expected = [(float(row["reported"]), float(row["reproduced"])) for row in _rows(study) if row["metric"] == "auc"]
    assert dots == expected
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("reported", "reproduced")
    assert axis.get_xlim() == axis.get_ylim()
    assert "\\val{study/level}" in caption


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("grouped_conv,5,path", "groupd_conv,5,path", "unknown mixer `groupd_conv`; did you mean `grouped_conv`?"),
        (",pathmnist,f1", ",pathmist,f1", "unknown dataset `pathmist`; did you mean `pathmnist`?"),
        ("auc_macro_ovr", "auc_macro", "unknown metric `auc_macro`; did you mean `auc_macro_ovr`?"),
        ('"[T,T,T,T]",scratch', '"[T,T,T,P]",scratch', "unknown arrangement `[T,T,T,P]`"),
        (",scratch,conv,3", ",scratsh,conv,3", "unknown init `scratsh`; did you mean `scratch`?"),
        ("conv,3,", "conv,4,", "kernel `4` is neither an odd number"),
        ("0.8817", "88.17", "value `88.17` is no number between 0 and 1"),
        ("0.8817", "nan", "value `nan` is no number"),
        ("source,table", "origin,table", ":1: no column source"),
        ("0.8817,", "0.8817,,,", "the row has not the 10 columns above"),
    ],
)
def test_an_unknown_cell_names_file_line_and_what_may_stand_there(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    folder = tmp_path / "reported"
    shutil.copytree(PUBLISHED, folder)
    path = folder / "classification_4T_scratch.csv"
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1))
    line = before[: before.index(old)].count("\n") + 1
    with pytest.raises(UserError) as raised:
        read_published(folder)
    assert f"{path}:{line}: " in str(raised.value)
    assert message in str(raised.value)


HEADER = "source,table,arrangement,init,mixer,kernel,dataset,row,metric,value,note\n"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ('"[T,T,T,T]",scratch,local_attn,-,imagewoof,', "the mixer `local_attn` needs a kernel"),
        ('"[T,T,T,T]",scratch,random,3,imagewoof,', "the mixer `random` takes no kernel"),
        ("-,scratch,conv,3,imagewoof,", "the mixer `conv` needs an arrangement: [T,T,T,T], [P,P,T,T]"),
        ('"[P,P,T,T]",scratch,resnet18,3,imagewoof,', "resnet18 has neither arrangement nor extension"),
        ("-,scratch,resnet18,9,imagewoof,", "`resnet18-k9`: unknown ResNet; allowed: resnet18-k3"),
        ("-,scratch,resnet18,-,imagewoof,", "unknown ResNet; allowed: resnet18-k3"),
        ('"[T,T,T,T]",scratch,conv,3,imagewoof,cls token', "`conv` cannot have `+cls`"),
        ('"[P,P,T,T]",scratch,local_attn,5,imagewoof,cls token', "`+cls` needs attention in all stages"),
    ],
)
def test_known_words_that_make_no_model_are_refused(tmp_path: Path, cell: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}s,t,{cell},accuracy,0.5,\n")
    with pytest.raises(UserError) as raised:
        read_published(tmp_path)
    assert f"{path}:2: " in str(raised.value) and message in str(raised.value)


def test_a_cell_has_one_value(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    cell = 's,t,"[T,T,T,T]",scratch,conv,3,imagewoof,,accuracy'
    first.write_text(f"{HEADER}{cell},0.5,\n{cell},0.50,again\n")
    # another row of the table, and another table, are other cells
    others = f"{cell.replace(',,accuracy', ',baseline,accuracy')},0.6,\n{cell.replace('s,t,', 's,u,')},0.7,\n"
    second.write_text(HEADER + others)
    assert [value.value for value in read_published(tmp_path)] == [0.5, 0.5, 0.6, 0.7]
    second.write_text(f"{HEADER}{others}{cell},0.51,\n")
    with pytest.raises(UserError) as raised:
        read_published(tmp_path)
    assert f"{second}:4: {first}:2 has 0.5 for the same cell" in str(raised.value)


def test_all_mistakes_come_at_once_and_an_empty_folder_is_one(tmp_path: Path) -> None:
    header = "source,table,arrangement,init,mixer,kernel,dataset,metric,value,note\n"
    (tmp_path / "a.csv").write_text(header + "s,t,-,scratch,resnet19,3,pathmnist,accuracy,2,\n")
    with pytest.raises(UserError) as raised:
        read_published(tmp_path)
    assert all(text in str(raised.value) for text in ("2 mistakes", "`resnet19`", "value `2`"))
    with pytest.raises(UserError, match="holds no published values"):
        read_published(tmp_path / "nowhere")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="cannot be read as CSV"):
        read_published(tmp_path)


def test_a_registered_folder_may_have_published_values(tmp_path: Path) -> None:
    header = "source,table,arrangement,init,mixer,kernel,dataset,metric,value,note\n"
    (tmp_path / "a.csv").write_text(header + "s,t,-,scratch,resnet18,3,own_images,accuracy,0.5,\n")
    with pytest.raises(UserError, match="unknown dataset `own_images`"):
        read_published(tmp_path)
    (value,) = read_published(tmp_path, ("own_images",))
    assert (value.dataset, value.mixer, value.value) == ("own_images", "resnet18", 0.5)
