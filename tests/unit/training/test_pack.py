"""A pack trains each run as if it were alone, and what happens to one does not reach the others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_runs import make_data, make_spec

from tokenmix.training import pack_child

#: `python -m tokenmix.training.pack` with something done in the child, before it becomes its run
HOOKED = """
import json, os, signal, sys
from pathlib import Path
from tokenmix.training import pack

def fail(module):
    kind, words = json.loads(os.environ["RAISED"])
    with Path("raised").open("a") as file:
        file.write(".")
    raise getattr(__import__("builtins"), kind)(words.format(tries=len(Path("raised").read_text())))

become = pack.become
def hooked(run, plan, code, complaint):
    once = Path("hooked." + run)
    action = json.loads(os.environ["HOOKS"]).get(run)
    if action and (action.endswith("always") or not once.exists()):
        once.touch()
        if action.startswith("signal parent"):
            os.kill(os.getppid(), signal.SIGUSR1)
        if action.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if action.startswith("raise"):
            pack.importlib.import_module = fail
    become(run, plan, code, complaint)
pack.become = hooked

def broken(self):
    if len(self.running) == 2:
        raise RuntimeError("an error nobody thought of")
if "BROKEN" in os.environ:
    pack.Pack._look_at_device = broken
if "RAISED" in os.environ:
    pack.PRELOADED = ()
asked = []  # each child has a copy of its own
if "WATCHED" in os.environ:
    import torch
    for name in ("is_available", "device_count", "_lazy_init"):
        def noted(*arguments, name=name, really=getattr(torch.cuda, name)):
            asked.append(name)
            return really(*arguments)
        setattr(torch.cuda, name, noted)
code = pack.main()
print("the parent asked:", *asked)
sys.exit(code)
"""


def make_run(root: Path, name: str, data: str = "squares", **spec) -> str:
    """Write the plan of one run of its own name."""
    if not (root / "data" / data).exists():
        make_data(root / "data" / data)
    plan = {
        "run": name,
        "spec": make_spec(**spec),
        "rungs": [{"mark": ""}],
        "hashes": {"spec": "5" * 64, "data": "d" * 64, "code": "c" * 64},
        "data": {"hash": "d" * 64, "folder": f"data/{data}"},
        "code": {"hash": "c" * 64, "folder": "results/code/cccccccc"},
    }
    path = root / "results" / "plan" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plan))
    return name


def make_pack(root: Path, *runs: str, at_most: int = 1) -> list[str]:
    """Write the list of a pack; returns the arguments of its job."""
    path = root / "results" / "plan" / "packs" / "abcd.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"runs": runs, "threads": 1, "probe": False, "at_most": at_most, "code": "unused"}))
    return [str(path), "--receipt", str(root / "receipt.json")]


def train(root: Path, arguments: list[str], hooks: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """The job of a pack, in the project's folder."""
    environment = {**os.environ, "HOOKS": json.dumps(hooks or {})}
    command = [sys.executable, "-c", HOOKED, *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)


def statuses(root: Path) -> dict[str, str]:
    """Outcome of each run in the receipt."""
    receipt = json.loads((root / "receipt.json").read_text())
    return {run: outcome["status"] for run, outcome in receipt["runs"].items()}


def artefacts(root: Path, run: str) -> dict[str, bytes]:
    """What the store keeps of a run, `run.json` without `execution` and name."""
    folder = root / "results" / "store" / run
    files = {name: (folder / name).read_bytes() for name in ("model.safetensors", "history.csv", "predictions.npz")}
    attestation = json.loads((folder / "run.json").read_text())
    del attestation["execution"], attestation["run"]
    return {**files, "run.json": json.dumps(attestation, sort_keys=True).encode()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """Two runs, each trained by a process of its own."""
    root = tmp_path_factory.mktemp("alone")
    for name, spec in {"a": {}, "b": {"model": "xs-tttt-local_attn3", "seed": 1}}.items():
        run = make_run(root, name, **spec)
        command = [sys.executable, "-m", "tokenmix.training", f"results/plan/{run}.json"]
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    return {name: artefacts(root, name) for name in "ab"}


@pytest.mark.parametrize("at_most", [1, 2])
def test_a_packed_run_has_the_bytes_of_a_lone_one(tmp_path, alone, at_most, monkeypatch):
    monkeypatch.setenv("WATCHED", "1")
    smi = tmp_path / "bin/nvidia-smi"  # a device that tells: 300 watts
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho 1000, 80000, 50, 300\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(smi.parent), prepend=":")
    runs = [make_run(tmp_path, "a"), make_run(tmp_path, "b", model="xs-tttt-local_attn3", seed=1)]
    done = train(tmp_path, make_pack(tmp_path, *runs, at_most=at_most))
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path) == {"a": "finished", "b": "finished"}
    assert {run: artefacts(tmp_path, run) for run in runs} == alone
    assert done.stdout.splitlines()[-1] == "the parent asked:", "a forked child cannot use a device of its parent"
    told = []
    for run in runs:
        benchmark = json.loads((tmp_path / f"results/benchmarks/train/{run}.jsonl").read_text())
        assert benchmark["outcome"] == "finished" and benchmark["cpu_s"] > 0
        told.append((benchmark["s"], benchmark["gpu_s"]))
        assert benchmark["energy_joules"] == pytest.approx(300 * benchmark["gpu_s"], abs=1)
        assert "epoch" in (tmp_path / f"logs/train/{run}.log").read_text()
    seconds, of_device = map(sum, zip(*told, strict=True))
    # side by side they share the device's time
    assert of_device == pytest.approx(seconds, rel=0.1) if at_most == 1 else of_device < 0.9 * seconds


def test_a_mistake_in_one_run_leaves_the_others_alone(tmp_path, alone):
    broken = make_run(tmp_path, "broken", data="broken")
    (tmp_path / "data/broken/train_labels.npy").write_bytes(b"nothing")
    done = train(tmp_path, make_pack(tmp_path, broken, make_run(tmp_path, "a")))
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path) == {"broken": "failed", "a": "finished"}
    assert artefacts(tmp_path, "a") == alone["a"]
    assert "train_labels" in (tmp_path / "logs/train/broken.log").read_text()


def test_a_diverging_run_is_a_result_beside_the_others(tmp_path, alone):
    wild = make_run(tmp_path, "wild", lr=1e6, warmup_lr=1e6, min_lr=1e6)
    done = train(tmp_path, make_pack(tmp_path, wild, make_run(tmp_path, "a"), at_most=2))
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path) == {"wild": "finished", "a": "finished"}
    assert json.loads((tmp_path / "results/store/wild/run.json").read_text())["status"] == "diverged"
    assert artefacts(tmp_path, "a") == alone["a"]


def test_a_killed_run_is_tried_once_more_in_the_same_job(tmp_path, alone):
    runs = [make_run(tmp_path, "a"), make_run(tmp_path, "b", model="xs-tttt-local_attn3", seed=1)]
    done = train(tmp_path, make_pack(tmp_path, *runs), hooks={"a": "kill"})
    assert done.returncode == 0, done.stderr
    assert "a: crashed" in done.stderr and statuses(tmp_path) == {"a": "finished", "b": "finished"}
    assert {run: artefacts(tmp_path, run) for run in runs} == alone


def test_a_run_that_is_killed_again_and_again_costs_the_others_nothing(tmp_path, alone):
    arguments = make_pack(tmp_path, make_run(tmp_path, "b"), make_run(tmp_path, "a"))
    done = train(tmp_path, [*arguments, "--attempts-left", "1"], hooks={"b": "kill always"})
    assert done.returncode == 75, "the workflow should try again, with more memory"
    assert not (tmp_path / "receipt.json").exists()
    before = (tmp_path / "results/store/a/model.safetensors").stat().st_mtime_ns

    done = train(tmp_path, [*arguments, "--attempts-left", "0"], hooks={"b": "kill always"})
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path) == {"b": "crashed", "a": "finished"}
    assert (tmp_path / "results/store/a/model.safetensors").stat().st_mtime_ns == before, "it was trained twice"


@pytest.mark.parametrize(
    ("raised", "tries"),
    [
        (("ValueError", "shapes do not fit"), [2, 0, 2]),
        # another exception each time: perhaps the machine
        (("ValueError", "try {tries}"), [2, 2, 2]),
        (("OSError", "stale file handle"), [2, 2, 2]),
        (("RuntimeError", "CUDA error: uncorrectable ECC error"), [2, 2, 2]),
    ],
)
def test_only_what_another_attempt_may_mend_is_tried_again(tmp_path, monkeypatch, raised, tries):
    """Attempts 1 and 2 of a job, of which another run was killed; then the user starts the workflow again."""
    monkeypatch.setenv("RAISED", json.dumps(raised))
    arguments = make_pack(tmp_path, make_run(tmp_path, "b"), make_run(tmp_path, "a"))
    counted, hooks = [], {"a": "kill always", "b": "raise always"}
    for attempt in ("1", "2", "1"):
        before = len((tmp_path / "raised").read_text()) if counted else 0
        done = train(tmp_path, [*arguments, "--attempt", attempt, "--attempts-left", "1"], hooks=hooks)
        assert done.returncode == 75, "the killed run should be tried again"
        counted.append(len((tmp_path / "raised").read_text()) - before)
    assert counted == tries


def test_what_failed_before_the_user_started_again_is_tried_even_if_the_first_attempt_does_not_come_to_it(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("RAISED", json.dumps(("ValueError", "shapes do not fit")))
    arguments = make_pack(tmp_path, make_run(tmp_path, "a"), make_run(tmp_path, "b"))
    note = tmp_path / "results/store/b/packed.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"pack": "abcd", "status": "failed", "exit": 1}))
    assert train(tmp_path, [*arguments, "--attempt", "1"], hooks={"a": "signal parent"}).returncode == 75
    assert not (tmp_path / "raised").exists()
    train(tmp_path, [*arguments, "--attempt", "2"], hooks={"a": "kill always", "b": "raise always"})
    assert (tmp_path / "raised").exists()


def test_a_run_whose_code_fails_costs_no_further_job(tmp_path, alone, monkeypatch):
    monkeypatch.setenv("RAISED", json.dumps(("ValueError", "shapes do not fit")))
    arguments = make_pack(tmp_path, make_run(tmp_path, "b"), make_run(tmp_path, "a"))
    done = train(tmp_path, [*arguments, "--attempts-left", "2"], hooks={"b": "raise always"})
    assert done.returncode == 0, done.stderr
    assert statuses(tmp_path) == {"b": "failed", "a": "finished"}
    assert artefacts(tmp_path, "a") == alone["a"]
    assert "shapes do not fit" in (tmp_path / "logs/train/b.log").read_text()


def test_a_signal_ends_the_pack_and_the_same_command_goes_on(tmp_path, alone):
    runs = [make_run(tmp_path, "a"), make_run(tmp_path, "b", model="xs-tttt-local_attn3", seed=1)]
    arguments = make_pack(tmp_path, *runs)
    done = train(tmp_path, arguments, hooks={"b": "signal parent"})
    assert done.returncode == 75 and "stopped: SIGUSR1" in done.stderr
    assert not (tmp_path / "receipt.json").exists()
    assert "SIGTERM" in (tmp_path / "logs/train/b.log").read_text(), "the run was asked to write its state"
    done = train(tmp_path, arguments)
    assert done.returncode == 0, done.stderr
    assert {run: artefacts(tmp_path, run) for run in runs} == alone


def test_benchmarks_that_cannot_be_written_cost_the_runs_nothing(tmp_path, alone):
    runs = [make_run(tmp_path, "a"), make_run(tmp_path, "b", model="xs-tttt-local_attn3", seed=1)]
    (tmp_path / "results/benchmarks").write_text("in the place of the folder")
    done = train(tmp_path, make_pack(tmp_path, *runs, at_most=2))
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert statuses(tmp_path) == {"a": "finished", "b": "finished"}
    assert {run: artefacts(tmp_path, run) for run in runs} == alone
    for run in runs:
        assert done.stderr.count(f"{run}: its benchmark is not kept: ") == 1
        assert json.loads((tmp_path / f"results/store/{run}/packed.json").read_text())["status"] == "finished"


def test_a_run_whose_store_cannot_be_written_leaves_the_others_alone(tmp_path, alone):
    arguments = make_pack(tmp_path, make_run(tmp_path, "b"), make_run(tmp_path, "a"))
    (tmp_path / "results/store").mkdir()
    (tmp_path / "results/store/b").write_text("in the place of the folder")
    done = train(tmp_path, arguments)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert statuses(tmp_path) == {"b": "failed", "a": "finished"}
    assert artefacts(tmp_path, "a") == alone["a"]


def test_an_error_of_the_pack_itself_leaves_no_training_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("BROKEN", "")
    runs = [make_run(tmp_path, name, iterations=3000) for name in "ab"]
    done = train(tmp_path, make_pack(tmp_path, *runs, at_most=2))
    assert done.returncode == 1 and "an error nobody thought of" in done.stderr
    for run in runs:
        assert "SIGTERM" in (tmp_path / f"logs/train/{run}.log").read_text(), "the run was asked to write its state"


def test_a_list_that_names_a_run_twice_is_refused(tmp_path):
    run = make_run(tmp_path, "a")
    done = train(tmp_path, make_pack(tmp_path, run, run))
    assert done.returncode == 2
    assert "names a twice" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "results/store").exists()


def test_the_parent_loads_no_code_of_the_runs(tmp_path):
    """Runs bring their own frozen code, which may differ from run to run."""
    for name, word in {"one": "first", "two": "second"}.items():
        package = tmp_path / "results/code" / name / "tokenmix/training"
        package.mkdir(parents=True)
        (package.parent / "__init__.py").touch()
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(f"def main(arguments):\n    print('the {word} code')\n    return 0\n")
        make_run(tmp_path, name)
        plan = tmp_path / f"results/plan/{name}.json"
        plan.write_text(plan.read_text().replace("results/code/cccccccc", f"results/code/{name}"))
    done = train(tmp_path, make_pack(tmp_path, "one", "two"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "logs/train/one.log").read_text() == "the first code\n"
    assert (tmp_path / "logs/train/two.log").read_text() == "the second code\n"


@pytest.mark.parametrize(
    ("message", "may_pass"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 MiB", True),
        ("CUDA error: an illegal memory access was encountered", True),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", True),
        ("Triton Error [CUDA]: an illegal memory access was encountered", True),
        ("No CUDA GPUs are available", True),
        ("Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("avg_pool3d_backward_cuda does not have a deterministic implementation", False),
        ("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!", False),
    ],
)
def test_faults_of_memory_and_device_are_told_from_those_of_code(message, may_pass):
    assert bool(pack_child.NOT_THE_CODE.search(message)) == may_pass
