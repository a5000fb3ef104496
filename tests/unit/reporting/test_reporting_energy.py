"""What the trainings of a study cost, as its appendix tells."""

import json

from fake_studies import make_study

from tokenmix.reporting.inputs import Study
from tokenmix.reporting.values import build


def test_energy_and_hours_are_sums_over_all_attempts_where_a_device_tells(tmp_path):
    study = Study.open(make_study(tmp_path))
    folder = study.results / "benchmarks" / "train"
    folder.mkdir(parents=True)
    first, second, *_ = study.index["runs"]
    lines = [{"energy_joules": 1.8e6, "gpu_s": 5400}, {"energy_joules": 0.9e6, "gpu_s": 1800}]
    (folder / f"{first}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / f"{second}.jsonl").write_text(json.dumps({"energy_joules": None, "gpu_s": 3600}) + "\n")
    registry = build(study)
    assert registry["study/energy"].text == "0.75\u202fkWh"
    assert registry["study/gpu_hours"].value == 3.0


def test_what_no_device_told_is_not_in_the_paper(tmp_path):
    registry = build(Study.open(make_study(tmp_path)))
    assert "study/energy" not in registry
    assert "study/gpu_hours" not in registry, "these runs were trained on a CPU"
