"""Parameters and what extensions add to them, in tables that have extensions."""

import csv
import re
from pathlib import Path

from fake_studies import MODELS, make_study

from tokenmix.reporting import values
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.tables import write

BASE = "xs-tttt-local_attn5"
EXTENDED = (BASE, f"{BASE}+slopes", f"{BASE}+bilinear", "xs-tttt-conv3+coordmlp")
COUNTS = dict(zip(EXTENDED, (700_000, 700_160, 640_000, 300_000), strict=True))


def extended_study(root: Path) -> Study:
    path = make_study(root, models=EXTENDED, diverged=())
    file = root / "results/fake/profile/models.csv"
    rows = list(csv.DictReader(file.read_text().splitlines()))
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        # heads differ between data sets
        more = {"breastmnist-28": 0, "pneumoniamnist-28": 11}
        writer.writerows({**row, "parameters": COUNTS[row["model"]] + more[row["dataset"]]} for row in rows)
    return Study.open(path)


def test_a_row_with_extensions_shows_what_they_add(tmp_path: Path) -> None:
    study = extended_study(tmp_path)
    registry = values.build(study)
    for dataset in ("breastmnist-28", "pneumoniamnist-28"):
        texts = [registry[f"added_params/{model}/{dataset}"].text for model in EXTENDED[1:3]]
        assert texts == ["+160", "−60.0\u202fk"]
    assert f"added_params/{BASE}/breastmnist-28" not in registry
    write(study, "classification_4t", tmp_path / "out")
    tex = (tmp_path / "out/classification_4t.tex").read_text()
    shown = {
        line.split(" & ")[0]: [cell.strip() for cell in line.split(" & ")[2:4]]
        for line in tex.splitlines()
        if "\\val{params" in line
    }
    at = "breastmnist-28"
    assert shown["Local attention"] == [f"\\val{{params/{BASE}/{at}}}", ""]
    assert shown["Local attention + slopes"][1] == f"\\val{{added_params/{EXTENDED[1]}/{at}}}"
    # the same model without extension is not part of this study
    assert shown["Convolution + coordinate MLP"] == [f"\\val{{params/{EXTENDED[3]}/{at}}}", "--"]
    with (tmp_path / "out/classification_4t.csv").open(newline="") as file:
        numbers = {row["model"]: (row["parameters"], row["added_parameters"]) for row in csv.DictReader(file)}
    assert numbers == {
        EXTENDED[0]: ("700000", ""),
        EXTENDED[1]: ("700160", "160"),
        EXTENDED[2]: ("640000", "-60000"),
        EXTENDED[3]: ("300000", ""),
    }


def test_columns_fit_their_declaration(tmp_path: Path) -> None:
    study = extended_study(tmp_path)
    write(study, "classification_4t", tmp_path / "out")
    tex = (tmp_path / "out/classification_4t.tex").read_text()
    pieces = tex.split("\\begin{tabular}")[1:]
    assert ["Params" in piece for piece in pieces] == [True, False]
    for piece in pieces:
        columns = len(re.findall(r"[lrc]|p\{", piece[: piece.index("\n")].replace("raggedright\\arraybackslash", "")))
        rows = [line for line in piece.splitlines() if "\\val{auc" in line]
        assert len(rows) == len(EXTENDED)
        assert {line.count(" & ") + 1 for line in rows} == {columns}


def test_a_table_without_extensions_needs_no_profile(tmp_path: Path) -> None:
    study = Study.open(make_study(tmp_path, models=MODELS, profiled=False))
    write(study, "classification_4t", tmp_path / "out")
    assert "Params" not in (tmp_path / "out/classification_4t.tex").read_text()
    assert "parameters" not in (tmp_path / "out/classification_4t.csv").read_text()
