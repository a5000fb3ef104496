"""`tokenmix audit` with a trainer that makes the published files again, or what a test asks for."""

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import traced_study

from tokenmix.cli import main
from tokenmix.files import pretty_json, read_json, sha256_file
from tokenmix.reporting import values
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.provenance.audit import pick
from tokenmix.study import code
from tokenmix.study.plan import SOURCE

#: stands in the frozen code in place of the trainer: publishes what lies ready, notes that it was called
TRAINER = """
import json, shutil, signal, sys, time
from pathlib import Path

if Path("slow").exists():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background of a shell
    Path("waits").touch()
    while True:
        time.sleep(0.01)
plan = Path(sys.argv[1])
run = json.loads(plan.read_text())["run"]
target = plan.parent.parent / "runs" / run
if not (target / "run.json").is_file():
    with open("trained.txt", "a") as calls:
        calls.write(run + "\\n")
    if not (Path("ready") / run).is_dir():
        sys.exit(75)
    shutil.copytree(Path("ready") / run, target)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, trained by that trainer."""
    folder = tmp_path_factory.mktemp("audited")
    package = folder / "src" / "tokenmix"
    shutil.copytree(SOURCE / "tokenmix", package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (package / "training" / "__main__.py").write_text(TRAINER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        traced_study.make(folder, source=folder / "src")
    code.forget()
    shutil.rmtree(folder / "src")
    shutil.copytree(folder / "results/runs", folder / "ready")
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A copy of it as the current folder."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    (index,) = Path("results/plan").glob("full.*.json")
    return Study.open(index)


@pytest.fixture
def audit(study: Study, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, output and messages of `tokenmix audit`."""

    def audit(*arguments: str) -> tuple[int, str, str]:
        status = main(["audit", *arguments])
        output = capsys.readouterr()
        return status, output.out, output.err

    return audit


def trained() -> list[str]:
    return Path("trained.txt").read_text().split() if Path("trained.txt").exists() else []


def told(study: Study) -> str:
    return values.build(Study.open(study.path))["study/audit"].text


def alter(run: str, **attested: object) -> None:
    """The next training of a run will give one test case another score, on other circumstances where they are named."""
    folder = Path("ready") / run
    with np.load(folder / "predictions.npz") as file:
        arrays = dict(file)
    arrays["test_scores"][0] = arrays["test_scores"][0][::-1]
    np.savez(folder / "predictions.npz", **arrays)
    content = read_json(folder / "run.json")
    content["outputs"]["predictions.npz"] = sha256_file(folder / "predictions.npz")
    content["execution"] |= attested
    (folder / "run.json").write_text(pretty_json(content))


def test_equal_bytes_are_reproduced_and_reach_the_colophon(study, audit) -> None:
    assert told(study) == "not audited"
    status, output, _ = audit("2")
    assert status == 0 and output.count("every byte is equal") == 2
    assert "reproduced 2 of 2 cells (seed 0); results/full/audit.json" in output
    assert "into the PDF: snakemake paper --config study=full" in output
    record = read_json("results/full/audit.json")
    assert record["reproduced"] == 2 and record["picked"] == trained() == pick(study, 2, 0)
    assert len({run.rpartition(".s")[0] for run in record["picked"]}) == 2
    assert told(study) == "reproduced 2 of 2 cells (seed 0)"
    assert "study/audit" in (Path(__file__).parents[3] / "paper/tokenmix.sty").read_text()
    assert "earlier" not in output
    # a run that is no longer the study's does not count
    record["picked"][0] = "of-an-earlier-plan"
    Path("results/full/audit.json").write_text(json.dumps(record))
    assert told(study) == "reproduced 1 of 1 cells (seed 0)"


def test_a_second_call_says_which_cells_it_does_not_train_again(study, audit) -> None:
    assert "seed 0: 1 cells to train" in audit("1")[2]
    (first,) = trained()
    status, output, message = audit("2")
    (second,) = set(trained()) - {first}
    assert status == 0 and trained() == [first, second]
    assert f"{first}: every byte is equal (trained by an earlier audit)" in output
    assert f"{second}: every byte is equal\n" in output
    assert "seed 0: 1 cells to train" in message and "an earlier audit trained 1 of the 2 cells" in message
    assert f"] {first}: kept from an earlier audit\n" in message and f"] {second}\n" in message
    other = next(seed for seed in range(1, 99) if not set(pick(study, 1, seed)) & {first, second})
    assert "(trained" not in audit("1", "--seed", str(other))[1] and len(trained()) == 3
    assert told(study) == f"reproduced 1 of 1 cells (seed {other})"


def test_another_byte_on_the_same_device_is_not_reproduced(study, audit) -> None:
    first, _ = pick(study, 2, 0)
    alter(first)
    status, output, _ = audit("2", "--tolerance", "1")
    assert status == 1 and "reproduced 1 of 2 cells" in output
    assert f"{first}: differs in predictions.npz, by up to 0.0" in output
    assert told(study) == "reproduced 1 of 2 cells (seed 0)"


def test_of_an_archive_only_the_checksums_of_the_weights_are_needed(study, audit) -> None:
    first, second = pick(study, 2, 0)
    for file in ("model.safetensors", "history.csv"):
        Path(f"results/runs/{first}/{file}").unlink()
        Path(f"results/runs/{second}/{file}").unlink()
    shutil.rmtree("results/store")
    Path(f"ready/{second}/model.safetensors").write_bytes(b"other weights")
    status, output, _ = audit("2")
    assert status == 1 and f"{first}: every byte is equal" in output
    assert f"{second}: differs in model.safetensors, by up to 0 in a metric" in output


def test_elsewhere_the_metrics_agree_within_the_tolerance(study, audit) -> None:
    (first,) = pick(study, 1, 0)
    alter(first, host="another machine")
    status, output, _ = audit("1", "--tolerance", "0.1")
    assert status == 0 and f"{first}: metrics agree within 0.1" in output
    record = read_json("results/full/audit.json")["runs"][0]
    # one of sixty cases
    assert record["rule"] == "tolerance" and 0 < record["largest_difference"] < 0.1
    status, output, _ = audit("1", "--tolerance", "0")
    assert status == 1 and "reproduced 0 of 1 cells" in output and "accuracy" in output


def test_an_interrupted_audit_goes_on(study, audit) -> None:
    first, second = pick(study, 2, 0)
    shutil.move(f"ready/{second}", "aside")
    status, _, error = audit("2")
    assert status == 2 and f"training {second} again ended with exit code 75" in error
    assert (
        "results/full/audit/logs" in error
        and told(study) == "reproduced 1 of 1 cells (seed 0), audit unfinished: 1 to come"
    )
    shutil.move("aside", f"ready/{second}")
    assert audit("2")[0] == 0 and trained() == [first, second, second]
    assert told(study) == "reproduced 2 of 2 cells (seed 0)"


def test_ctrl_c_ends_the_training_and_is_one_message(study, audit, monkeypatch) -> None:
    (first,) = pick(study, 1, 0)
    Path("slow").touch()
    wait, left = subprocess.Popen.wait, []

    def pressed(process: subprocess.Popen, timeout: float | None = None) -> int:
        if not left:
            left.append(process)
            while process.poll() is None and not Path("waits").exists():
                time.sleep(0.01)
            raise KeyboardInterrupt
        return wait(process, timeout=30)

    monkeypatch.setattr(subprocess.Popen, "wait", pressed)
    status, _, error = audit("1")
    assert status == 2 and f"error: the audit was interrupted in {first}; the same call goes on" in error
    assert left[0].returncode and told(study) == "not audited"
    Path("slow").unlink()
    assert audit("1")[0] == 0 and told(study) == "reproduced 1 of 1 cells (seed 0)"


@pytest.mark.parametrize(
    "content", ["[]", "3", '{"picked": [RUN]}', '{"picked": [RUN], "runs": [1], "seed": 0}', '{"picked": [[]]}']
)
def test_what_is_no_record_of_an_audit_is_named(study, capsys, content: str) -> None:
    run = json.dumps(next(iter(study.index["runs"])))
    (study.folder / "audit.json").write_text(content.replace("RUN", run))
    assert main(["report", "values", "--plan", str(study.path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: results/full/audit.json is no record of an audit") and "delete it" in error


def test_mistakes_are_one_message_and_train_nothing(study, audit) -> None:
    for arguments, message in (
        (("0",), "0 cells cannot be audited: 6 cells of the study full have finished runs"),
        (("7",), "7 cells cannot be audited"),
        (("1", "--tolerance", "-1"), "--tolerance is -1.0; give a number from 0 on"),
        (("1", "--study", "mini"), "no plan of the study 'mini'"),
    ):
        status, _, error = audit(*arguments)
        assert status == 2 and message in error and error.startswith("error: ")
    (first,) = pick(study, 1, 0)
    trainer = next(Path("results/code").glob("*/tokenmix/training/__main__.py"))
    sound = trainer.read_text()
    for folder in Path("results/code").glob("*/tokenmix/training/__main__.py"):
        folder.write_text(sound + "\nprint('another')\n")
    status, _, error = audit("1")
    assert status == 2 and f"the frozen code of {first} is not whole" in error
    predictions = Path(f"results/runs/{first}/predictions.npz")
    predictions.write_bytes(predictions.read_bytes() + b"x")
    status, _, error = audit("1")
    assert status == 2 and f"{predictions} is not the file that its run.json attests" in error
    assert trained() == [] and not Path("results/full/audit.json").exists()


def test_costly_cells_are_drawn_more_often_and_only_finished_ones(tmp_path: Path) -> None:
    images = {"dataset": "d", "size": 28, "dimensions": 2, "channels": 1}
    entry = {**images, "init": "scratch", "batch_size": 1, "accumulation": 1}
    costs = {"xs-tttt-random": 100, "xs-tttt-random_learned": 300, "xs-tttt-identity": 100_000}
    runs = {f"d-28.{model}.scratch.s0.0": {**entry, "model": model, "iterations": n} for model, n in costs.items()}
    for run in list(runs)[:2]:
        (tmp_path / "runs" / run).mkdir(parents=True)
        (tmp_path / "runs" / run / "run.json").touch()
    study = Study(tmp_path / "plan/x.json", {"study": "x", "results": str(tmp_path), "runs": runs})
    drawn = Counter(pick(study, 1, seed)[0].split(".")[1] for seed in range(2000))
    assert set(drawn) == {"xs-tttt-random", "xs-tttt-random_learned"}
    # three to one, by five standard deviations
    assert abs(drawn["xs-tttt-random_learned"] - 1500) < 5 * (2000 * 0.75 * 0.25) ** 0.5
