"""Runs that start from published weights."""

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from training_runs import RUN, make_plan

from tokenmix.files import sha256_file
from tokenmix.training.__main__ import main


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A planned run of ResNet18 from weights that lie, converted, in the data folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tokenmix.training.signals.signal.signal", lambda *_: None)
    torch.manual_seed(3)
    weights = tmp_path / "data/weights/resnet18.safetensors"
    weights.parent.mkdir(parents=True)
    save_file(timm.create_model("resnet18").state_dict(), weights)
    card = {"name": "resnet18", "sha256": "5" * 64, "converted_sha256": sha256_file(weights)}
    weights.with_suffix(".json").write_text(json.dumps(card))
    path = make_plan(tmp_path, model="resnet18-k3", iterations=1, warmup_lr=1e-9, min_lr=1e-9, lr=1e-9)
    content = json.loads(path.read_text())
    content["spec"] |= {"init": "pretrained", "weights": {"name": "resnet18", "url": "", "sha256": ""}}
    path.write_text(json.dumps({**content, "weights": {"file": "data/weights/resnet18.safetensors"}}))
    return path


def test_a_run_starts_from_them_and_says_for_each_tensor_where_it_came_from(plan: Path, tmp_path: Path) -> None:
    assert main([str(plan)]) == 0
    run = json.loads((tmp_path / "results/runs" / RUN / "run.json").read_text())
    assert (run["initial_weights"]["checkpoint"], run["initial_weights"]["sha256"]) == ("resnet18", "5" * 64)
    how = {row["tensor"]: row["how"] for row in run["initial_weights"]["tensors"] if row["tensor"]}
    published = load_file(tmp_path / "data/weights/resnet18.safetensors")
    trained = load_file(tmp_path / "results/runs" / RUN / "model.safetensors")
    assert how.keys() == trained.keys()
    assert how["conv1.weight"] == "summed over the three colours" and how["fc.weight"].startswith("new")
    # two steps at a rate of 1e-9 leave all weights where they began
    assert torch.allclose(trained["conv1.weight"], published["conv1.weight"].sum(1, keepdim=True), atol=1e-6)
    assert torch.allclose(trained["layer3.0.conv1.weight"], published["layer3.0.conv1.weight"], atol=1e-6)


def test_a_matched_run_starts_from_the_random_weights_of_its_seed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tokenmix.training.signals.signal.signal", lambda *_: None)
    trained = {}
    for init in ("scratch", "matched"):
        path = make_plan(tmp_path / init, model="xs-pptt-local_attn3", iterations=1)
        content = json.loads(path.read_text())
        content["spec"]["init"] = init
        content["spec"]["model_options"] |= {"head_dim": 8, "norm": "channel"}
        path.write_text(json.dumps(content))
        monkeypatch.chdir(tmp_path / init)
        assert main([str(path)]) == 0
        folder = tmp_path / init / "results/runs" / RUN
        assert json.loads((folder / "run.json").read_text())["spec"]["init"] == init
        trained[init] = (folder / "model.safetensors").read_bytes()
    assert trained["matched"] == trained["scratch"]


@pytest.mark.parametrize("what", ["changed", "gone"])
def test_weights_that_are_not_what_their_card_says_are_refused(plan: Path, what: str, capsys) -> None:
    weights = plan.parents[2] / "data/weights/resnet18.safetensors"
    if what == "gone":
        weights.unlink()
    else:
        with weights.open("r+b") as file:
            file.seek(-4, 2)
            file.write(b"\1\2\3\4")
    assert main([str(plan)]) != 0
    message = capsys.readouterr().err
    assert "resnet18.safetensors is missing or not what its card says" in message and "Traceback" not in message
