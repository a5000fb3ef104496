"""What the trainings of a study cost, as its appendix tells."""

import json

from fake_studies import make_study

from tokenmix.reporting.inputs import Study
from tokenmix.reporting.values import build


def test_energy_is_the_sum_over_all_attempts_where_a_device_tells(tmp_path):
    study = Study.open(make_study(tmp_path))
    folder = study.results / "benchmarks" / "train"
    folder.mkdir(parents=True)
    first, second, *_ = study.index["runs"]
    lines = [{"energy_joules": 1.8e6}, {"energy_joules": 0.9e6}]
    (folder / f"{first}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / f"{second}.jsonl").write_text(json.dumps({"energy_joules": None}) + "\n")
    assert build(study)["study/energy"].text == "0.75\u202fkWh"


def test_what_no_device_told_is_not_in_the_paper(tmp_path):
    registry = build(Study.open(make_study(tmp_path)))
    assert "study/energy" not in registry
    assert "study/gpu_hours" not in registry, "these runs were trained on a CPU"


def test_hours_on_gpus_are_counted_apart(tmp_path):
    path = make_study(tmp_path)
    study = Study.open(path)
    runs = [study.results / "runs" / run / "run.json" for run in study.index["runs"]]
    for file in runs[:2]:
        attestation = json.loads(file.read_text())
        attestation["execution"] |= {"device": "NVIDIA H200", "seconds": 5400}
        file.write_text(json.dumps(attestation))
    assert build(Study.open(path))["study/gpu_hours"].value == 3.0
