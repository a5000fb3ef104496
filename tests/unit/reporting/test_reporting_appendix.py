"""The appendix: the line of a run tells where its numbers come from."""

import re
from pathlib import Path

from fake_studies import MODELS, open_study

from tokenmix.reporting import appendix, values


def test_the_line_of_a_run_tells_seed_data_code_commit_day_and_outcome(tmp_path: Path) -> None:
    study = open_study(tmp_path, datasets=("breastmnist",), models=MODELS[:1], diverged=(("breastmnist", MODELS[0]),))
    rows = [row for row in appendix.runs_tex(study, values.build(study)).splitlines() if "tmxpage{run=" in row]
    assert len(rows) == len(study.runs) == 3
    for row, (name, run) in zip(rows, study.runs.items(), strict=True):
        cells = [re.sub(r"\\tmxpage\{.*?\}\{(.*)\}", r"\1", cell) for cell in row.rstrip("\\*").split(" & ")]
        seed, execution = run["spec"]["seed"], run["execution"]
        assert cells[:5] == [str(seed), name.rpartition(".")[2], "dddddddd", "c0dec0de", f"{seed}badcafe"]
        assert cells[5] == execution["ended"][:10]
        assert cells[8] == str(run["best"]["epoch"]) and cells[9].startswith(run["status"])
    assert {run["status"] for run in study.runs.values()} >= {"diverged"}
