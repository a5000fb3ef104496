"""Figures come out the same at every build, and say what they show."""

import subprocess
import sys
from pathlib import Path

import pytest
from fake_studies import MODELS, open_study
from pdf import pdf_text
from PIL import Image

from tokenmix.errors import UserError
from tokenmix.reporting import figures
from tokenmix.reporting.figures_style import look, save
from tokenmix.reporting.inputs import Study


@pytest.mark.parametrize("name", list(figures.FIGURES))
def test_a_figure_has_the_same_bytes_twice(name: str, tmp_path: Path) -> None:
    study = open_study(tmp_path)
    figures.write(study, name, tmp_path / "one")
    figures.write(study, name, tmp_path / "two")
    for suffix in ("pdf", "png", "tex"):
        first, second = (tmp_path / folder / f"{name}.{suffix}" for folder in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
    assert f"\\label{{fig:{name}}}" in (tmp_path / f"one/{name}.tex").read_text()


def test_axes_have_units_and_names(tmp_path: Path) -> None:
    figure, caption = figures.mac_sizes(open_study(tmp_path))
    axis = figure.axes[0]
    assert axis.get_ylabel() == "MACs of the model (G)"
    assert axis.get_xlabel() == "edge of the image (pixels)"
    assert [text.get_text() for text in axis.get_legend().get_texts()][3] == "local attention 3×3"
    assert "logarithmic" in caption


def test_the_figure_of_layers_has_a_panel_a_stage_with_the_profile_s_numbers(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    figure, _ = figures.mac_mixers(study)
    rows = study.profile("mixers")
    stages = sorted({row["stage"] for row in rows})
    assert len(figure.axes) == len(stages) == 4
    kernels = sorted({int(row["kernel"]) for row in rows if row["kernel"]})
    for axis, stage in zip(figure.axes, stages, strict=True):
        expected = {}
        for row in rows:
            if row["stage"] == stage and float(row["macs"]):
                at = [int(row["kernel"])] if row["kernel"] else kernels  # the same at each
                expected.setdefault(row["mixer"], {}).update(dict.fromkeys(at, float(row["macs"]) / 1e9))
        drawn = [dict(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in axis.lines]
        assert drawn == list(expected.values()) and len(drawn) > 2
        assert axis.get_xlabel() == "kernel $k$" and axis.get_title().startswith(f"stage {stage}\n")
    assert figure.axes[0].get_ylabel() == "MACs of one layer (G)"


def test_scores_show_the_mean_the_interval_and_each_seed(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    [(figure, _)] = figures.scores(study)
    axis = figure.axes[0]
    shown = study.cells["breastmnist-28", MODELS[0], "scratch", "auc"]
    bar, seeds, mean = axis.lines[:3]
    assert list(bar.get_xdata()) == [shown.low, shown.high]
    assert sorted(seeds.get_xdata()) == sorted(
        study.seed_values(study.tables["classification_4t"], "breastmnist-28", "auc")[run] for run in shown.runs
    )
    assert list(mean.get_xdata()) == [shown.mean]
    assert len(axis.get_yticklabels()) == len(MODELS)


def test_a_seed_that_a_remedy_trained_longer_makes_no_saw_of_the_curve(tmp_path: Path) -> None:
    study = open_study(tmp_path, datasets=("breastmnist",), models=MODELS[:1], diverged=())
    header = "epoch,iteration,lr,train_loss,val_loss,val_accuracy,val_balanced_accuracy,val_f1_macro,selected\n"
    histories = {  # twice the epochs, validated at other iterations; the third seed diverged before the second one
        0: [(30, 0.2), (60, 0.4), (90, 0.6)],
        1: [(40, 0.2), (80, 0.4), (120, 0.6), (160, 0.8)],
        2: [(30, "nan")],
    }
    for run, entry in study.index["runs"].items():
        rows = (f"1,{at},0.1,1,1,0.5,0.5,{value},0\n" for at, value in histories[entry["seed"]])
        (study.results / "runs" / run / "history.csv").write_text(header + "".join(rows))
    ((figure, _),) = figures.curves(study)
    (curve,) = figure.axes[0].lines
    assert list(curve.get_xdata()) == [30, 40, 60, 80, 90, 120, 160]
    first = {40: 0.2 + 0.2 / 3, 60: 0.4, 80: 0.4 + 0.4 / 3, 90: 0.6}
    second = {40: 0.2, 60: 0.3, 80: 0.4, 90: 0.45}
    means = [(first[at] + second[at]) / 2 for at in first]
    assert list(curve.get_ydata()) == pytest.approx([0.2, *means, 0.6, 0.8])


def test_the_curve_of_a_mixer_is_that_of_its_best_kernel_on_validation(tmp_path: Path) -> None:
    study = open_study(tmp_path, datasets=("breastmnist",), diverged=())
    for run, entry in study.index["runs"].items():
        if entry["model"] == "xs-tttt-local_attn5":
            path = study.results / "runs" / run / "history.csv"
            path.write_text(
                "epoch,iteration,lr,train_loss,val_loss,val_accuracy,val_balanced_accuracy,val_f1_macro,selected\n"
                "1,60,0.1,1,1,0.99,0.99,0.99,1\n2,120,0.1,1,nan,nan,nan,nan,0\n"
            )
    [(figure, _)] = figures.curves(study)
    curve = [line for line in figure.axes[0].lines if line.get_color() == look("local_attn")["color"]]
    assert len(curve) == 1
    assert list(curve[0].get_xdata()) == [60]
    assert list(curve[0].get_ydata()) == [pytest.approx(0.99)]


TABLE = {"datasets": ["breastmnist-28"], "metrics": ["auc"], "init": "scratch"}
PLAIN = "xs-tttt-local_attn3"
EXTENDED = (f"{PLAIN}+slopes", f"{PLAIN}+cls", f"{PLAIN}+register")


def several_tables(root: Path) -> Study:
    """Two tables with runs of their own, and between them one that shows nothing but runs of the first."""
    rows = {"first": MODELS[:4], "again": MODELS[:2], "more_of_it": [PLAIN, *EXTENDED]}
    tables = {name: {**TABLE, "rows": [[model, "scratch"] for model in rows[name]]} for name in rows}
    models = (*MODELS[:4], *EXTENDED)
    return open_study(root, datasets=["breastmnist"], models=models, diverged=(), tables=tables)


@pytest.mark.parametrize("name", ["curves", "scores"])
def test_each_table_with_runs_of_its_own_has_a_part(name: str, tmp_path: Path) -> None:
    study = several_tables(tmp_path)
    figures.write(study, name, tmp_path)
    save([figures.FIGURES[name](study)[0][0]], tmp_path / "alone")
    first, second = pdf_text(tmp_path / f"{name}.pdf").rstrip("\f\n").split("\f")
    assert "first" in first
    assert "convolution" in first
    assert "more of it" in second
    assert "local attention" in second
    assert "convolution" not in second
    tex = (tmp_path / f"{name}.tex").read_text()
    here, further = tex.split("\\tmxfurther")
    assert "page=1" in here
    assert f"Continued in Figure~\\ref{{fig:{name}-2}}." in here
    assert "page=2" in further
    assert "Table~\\ref{tab:more_of_it}. Continues Figure" in further
    both, alone = (Image.open(tmp_path / file) for file in (f"{name}.png", "alone.png"))
    assert both.crop((0, 0, *alone.size)).tobytes() == alone.tobytes()
    assert both.height > alone.height


def test_models_that_differ_by_their_extensions_have_curves_of_their_own_look(tmp_path: Path) -> None:
    _, (figure, _) = figures.curves(several_tables(tmp_path))
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 1 + len(EXTENDED)
    assert len({marker for _, marker, _ in looks}) == 1 + len(EXTENDED)


def test_mixers_differ_by_more_than_colour() -> None:
    looks = {tuple(look(mixer).items())[1:] for mixer in ("pooling", "conv", "sep_conv", "local_attn", "full_attn")}
    assert len(looks) == 5


def test_an_unknown_figure_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose one of mac_mixers, mac_sizes, curves, scores"):
        figures.write(open_study(tmp_path), "mac", tmp_path)


def test_a_table_job_loads_neither_matplotlib_nor_torch(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    code = (
        "import sys; from tokenmix.cli import main; "
        f"assert main(['report', 'table', 'classification_4t', '--plan', {str(study.path)!r}]) == 0; "
        "heavy = {'torch', 'matplotlib', 'pandas', 'numpy', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
