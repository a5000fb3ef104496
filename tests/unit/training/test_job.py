"""A whole job in this process: outputs, divergence, messages."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import RUN, make_plan, outputs

import tokenmix
from tokenmix.files import sha256_file
from tokenmix.training import engine, ladder
from tokenmix.training.__main__ import main
from tokenmix.training.plan import read_plan

PACKAGE = Path(tokenmix.__file__).parent


@pytest.fixture(autouse=True)
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in the project's root; what they set in the environment and for signals is undone."""
    monkeypatch.chdir(tmp_path)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr("tokenmix.training.signals.signal.signal", lambda *_: None)


def attested(root: Path) -> dict:
    return json.loads((root / "results" / "runs" / RUN / "run.json").read_text())


@pytest.mark.parametrize("model", ["xs-tttt-pooling3", "xs-tttt-local_attn3"])
def test_a_run_on_volumes(tmp_path: Path, model: str) -> None:
    assert main([str(make_plan(tmp_path, model=model, dimensions=3, iterations=24, affine_std=0.02))]) == 0
    run = attested(tmp_path)
    assert run["status"] == "finished" and run["best"]["score"] > 0.5  # three classes
    weights = load_file(tmp_path / "results" / "runs" / RUN / "model.safetensors")
    assert weights["embeddings.0.weight"].shape == (16, 1, 7, 7, 7)
    assert np.load(tmp_path / "results" / "runs" / RUN / "predictions.npz")["test_scores"].shape == (19, 3)


def test_outputs_are_complete_and_attested(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    assert main([str(plan)]) == 0
    folder = tmp_path / "results" / "runs" / RUN
    run = attested(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv",
        "model.safetensors",
        "predictions.npz",
        "run.json",
    ]
    assert run["outputs"] == {name: sha256_file(folder / name) for name in run["outputs"]} and len(run["outputs"]) == 3
    assert run["status"] == "finished" and run["mark"] == ""
    assert run["rungs"] == [{"rung": 0, "mark": "", "status": "finished", "iterations": 12, "reason": ""}]
    planned = json.loads(plan.read_text())
    assert run["spec"] == planned["spec"] and run["hashes"] == planned["hashes"]
    # Numba and what compiles for it make kernels of local attention
    assert {"numba", "llvmlite"} <= run["libraries"].keys()
    assert run["libraries"]["torch"] == torch.__version__.partition("+")[0]
    assert run["parameters"] == sum(p.numel() for p in load_file(folder / "model.safetensors").values())
    assert (run["selected_on"], run["selection_cases"]) == ("val", 21)
    assert run["execution"]["attempts"] == 1 and run["execution"]["first_step_seconds"] > 0
    # links into the store, newer than the data
    assert (folder / "run.json").samefile(tmp_path / "results" / "store" / RUN / "run.json")

    rows = list(csv.DictReader((folder / "history.csv").open()))
    columns = "epoch iteration lr train_loss val_loss val_accuracy val_balanced_accuracy val_f1_macro selected"
    assert list(rows[0]) == columns.split()
    (selected,) = (row for row in rows if row["selected"] == "1")
    epoch, iteration, score = (selected[name] for name in ("epoch", "iteration", "val_f1_macro"))
    assert run["best"] == {"rung": 0, "epoch": int(epoch), "iteration": int(iteration), "score": float(score)}

    predictions = np.load(folder / "predictions.npz")
    for split, n in (("val", 21), ("test", 19)):
        assert predictions[f"{split}_scores"].dtype == np.float32 and predictions[f"{split}_scores"].shape == (n, 3)
        np.testing.assert_allclose(predictions[f"{split}_scores"].sum(axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(
            predictions[f"{split}_labels"], np.load(tmp_path / "data" / "squares" / f"{split}_labels.npy")
        )


def test_the_test_split_is_opened_once_after_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    original = engine.DeviceSplit.__init__

    def opened(self, prepared, split, device) -> None:
        events.append(split)
        original(self, prepared, split, device)

    monkeypatch.setattr(engine.DeviceSplit, "__init__", opened)
    step = engine.Training._take_step
    monkeypatch.setattr(engine.Training, "_take_step", lambda *a: (events.append("step"), step(*a)))
    assert main([str(make_plan(tmp_path))]) == 0
    assert events.count("test") == 1
    assert events.index("test") > max(i for i, event in enumerate(events) if event == "step")


def test_selection_on_test_is_attested(tmp_path: Path) -> None:
    assert main([str(make_plan(tmp_path, selection_split="test", drop_last_validation=True))]) == 0
    run = attested(tmp_path)
    assert (run["selected_on"], run["selection_cases"]) == ("test", 16)


def test_divergence_is_recorded_with_the_last_good_checkpoint(tmp_path: Path) -> None:
    # the warm-up validates once at a sane rate; then the rate is absurd
    plan = make_plan(tmp_path, lr=1e6, iterations=60)
    assert main([str(plan)]) == 0
    run = attested(tmp_path)
    assert run["status"] == "diverged"
    (rung,) = run["rungs"]
    assert rung["status"] == "diverged" and "not finite" in rung["reason"] and 4 < rung["iterations"] <= 60
    assert run["best"]["epoch"] >= 1
    folder = tmp_path / "results" / "runs" / RUN
    assert all(torch.isfinite(tensor).all() for tensor in load_file(folder / "model.safetensors").values())
    assert np.isfinite(np.load(folder / "predictions.npz")["test_scores"]).all()


def test_a_run_that_was_never_validated_publishes_its_initial_weights(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, lr=1e30, warmup_epochs=0)
    assert main([str(plan)]) == 0
    run = attested(tmp_path)
    assert run["status"] == "diverged" and run["best"] == {"rung": 0, "epoch": 0, "iteration": 0, "score": None}
    assert (tmp_path / "results" / "runs" / RUN / "history.csv").read_text().count("\n") == 1


def test_the_ladder_starts_again_with_the_next_rungs_settings(tmp_path: Path, monkeypatch) -> None:
    straight = tmp_path / "straight"
    remedy = {"lr": 1e-3, "iterations": 8, "batch_size": 8, "accumulation": 2}
    straight.mkdir()
    monkeypatch.chdir(straight)
    assert main([str(make_plan(straight, **remedy))]) == 0
    climbed = tmp_path / "climbed"
    plan = make_plan(climbed, lr=1e30, warmup_epochs=1, rungs=({"mark": ""}, {**remedy, "mark": "*"}, {"mark": "**"}))
    monkeypatch.chdir(climbed)
    assert main([str(plan)]) == 0
    run = attested(climbed)
    assert run["status"] == "finished" and run["mark"] == "*"
    assert [(r["rung"], r["mark"], r["status"]) for r in run["rungs"]] == [
        (0, "", "diverged"),
        (1, "*", "finished"),
    ]
    for name in ("model.safetensors", "predictions.npz", "history.csv"):
        assert outputs(climbed)[name] == outputs(straight)[name]


def test_the_last_rung_may_diverge_too(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, lr=1e30, rungs=({"mark": ""}, {"iterations": 16, "mark": "*"}))
    assert main([str(plan)]) == 0
    run = attested(tmp_path)
    # both were validated once, with the same result: the first is kept
    assert run["status"] == "diverged" and run["mark"] == "" and run["best"]["rung"] == 0
    assert [rung["status"] for rung in run["rungs"]] == ["diverged", "diverged"]


def edit_card(root: Path, **fields: object) -> None:
    path = root / "data" / "squares" / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_mistakes_are_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    def message(plan: Path | str) -> str:
        assert main([str(plan)]) == 2
        text = capsys.readouterr().err
        assert text.startswith("error: ") and text.count("\n") == 1
        return text

    plan = make_plan(tmp_path)
    assert "is missing" in message("results/plan/other.json")
    edit_card(tmp_path, hash="e" * 64)
    assert "belongs to other data" in message(plan)
    edit_card(tmp_path, hash="d" * 64, mean=[math.nan])
    assert "mean or standard deviation is not a number" in message(plan)
    edit_card(tmp_path, mean=[0.1])
    monkeypatch.setenv("TOKENMIX_CHECKPOINT_SECONDS", "often")
    assert "give a number of seconds" in message(plan)
    monkeypatch.delenv("TOKENMIX_CHECKPOINT_SECONDS")
    shutil.rmtree(tmp_path / "results" / "store")
    (tmp_path / "results" / "store").write_text("")
    assert "cannot write" in message(plan)
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "results" / "store").unlink()
    assert "no prepared data" in message(plan)
    plan.write_text("{}")
    assert "is no plan of a run" in message(plan)
    assert "does not know the training fields momentum" in message(make_plan(tmp_path, momentum=0.9))


def test_a_published_folder_that_cannot_be_written_loses_nothing(tmp_path: Path, capsys) -> None:
    plan = make_plan(tmp_path)
    (tmp_path / "results" / "runs").write_text("")
    assert main([str(plan)]) == 2
    assert "will only be published" in capsys.readouterr().err
    (tmp_path / "results" / "runs").unlink()
    assert main([str(plan)]) == 0
    assert "epoch" not in capsys.readouterr().err


def test_a_state_of_other_libraries_is_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    plan = make_plan(tmp_path)
    monkeypatch.setenv("TOKENMIX_CHECKPOINT_SECONDS", "0")
    step = engine.Training._take_step

    def fail_at_three(self, order, lr):
        if self.iteration == 3:
            raise KeyboardInterrupt
        step(self, order, lr)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine.Training, "_take_step", fail_at_three)
        main([str(plan)])
    with monkeypatch.context() as patch:
        patch.setattr(ladder, "libraries", lambda: {"torch": "9.9"})
        assert main([str(plan)]) == 2
    assert "would not go on exactly" in capsys.readouterr().err
    assert main([str(plan)]) == 0


def test_logs_have_one_line_per_validation_and_terminals_a_bar(tmp_path: Path, monkeypatch, capsys) -> None:
    plan = make_plan(tmp_path)
    assert main([str(plan)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch")]
    assert len(lines) == 3
    assert all(word in lines[0] for word in ("iteration 4", "lr 1.00e-04", "train loss", "val loss", "F1", "images/s"))
    shutil.rmtree(tmp_path / "results" / "store")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main([str(plan)]) == 0
    assert "epoch 3" in capsys.readouterr().err


def frozen_check(root: Path, plan: Path, frozen: Path) -> subprocess.CompletedProcess[str]:
    steps = f"p = read_plan(Path({str(plan)!r})); check_code(p); print('same')"
    code = f"from tokenmix.training.plan import *; {steps}"
    environment = {
        **os.environ,
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": str(frozen),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)


def test_edited_frozen_code_is_refused(tmp_path: Path) -> None:
    from tokenmix.study.code import code_identity
    from tokenmix.study.stages import training_entries

    plan = make_plan(tmp_path)
    content = json.loads(plan.read_text())
    identity = code_identity(training_entries(content["spec"]["model"]), PACKAGE.parent)
    frozen = tmp_path / "results" / "code" / "cccccccc"
    for file in identity.files:
        (frozen / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE.parent / file, frozen / file)
    content["hashes"]["code"] = identity.hash
    plan.write_text(json.dumps(content))
    done = frozen_check(tmp_path, plan, frozen)
    assert done.stdout == "same\n", done.stderr
    schedule = frozen / "tokenmix" / "training" / "schedule.py"
    schedule.write_text(schedule.read_text() + "\n# a comment changes nothing\n")
    assert frozen_check(tmp_path, plan, frozen).stdout == "same\n"
    schedule.write_text(schedule.read_text().replace("math.pi", "math.tau"))
    assert "was changed: it is not the code" in frozen_check(tmp_path, plan, frozen).stderr
    command = [sys.executable, "-m", "tokenmix.training", str(plan), "--only", "train"]
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": str(frozen)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "was changed: it is not the code" in done.stderr


def test_paths_of_a_plan_are_relative_to_the_project(tmp_path: Path) -> None:
    plan = read_plan(make_plan(tmp_path))
    assert plan.data_folder == tmp_path / "data" / "squares"
    assert plan.results == tmp_path / "results"
