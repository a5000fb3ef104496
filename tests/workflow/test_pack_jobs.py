"""Packs as Snakemake sees them: what fails, fails alone."""

import json

from checkout import Checkout


def finished(checkout: Checkout) -> list[str]:
    """Models whose runs are published."""
    return sorted(path.name.split(".")[1] for path in checkout.runs() if (path / "run.json").exists())


def test_a_run_that_fails_fails_alone_and_is_tried_again(tmp_path):
    checkout = Checkout(tmp_path)
    mixer = "src/tokenmix/models/mixers/identity.py"
    whole = (tmp_path / mixer).read_text()
    (tmp_path / mixer).write_text(whole.replace("super().__init__()", "raise RuntimeError('no such mixer')"))
    one_core = ("--until", "publish", "--cores", "1", "--keep-going")

    done = checkout.snakemake(*one_core)
    assert done.returncode != 0
    (pack,) = (tmp_path / "results/packed").glob("*.json")
    outcomes = {run.split(".")[1]: told["status"] for run, told in json.loads(pack.read_text())["runs"].items()}
    assert outcomes == {"xs-tttt-identity": "failed", "xs-tttt-pooling3": "finished"}
    assert finished(checkout) == ["xs-tttt-pooling3"], "the other run of the pack should be published"
    assert "no such mixer" in done.stdout, "Snakemake should show why the run is not finished"
    before = {path: path.stat().st_ino for path in (tmp_path / "results/store").glob("*pooling*/*.safetensors")}

    (tmp_path / mixer).write_text(whole)
    assert {run.split(".")[1] for run in checkout.planned(*one_core)} == {"xs-tttt-identity"}
    done = checkout.snakemake(*one_core)
    assert done.returncode == 0, done.stdout[-3000:]
    assert finished(checkout) == ["xs-tttt-identity", "xs-tttt-pooling3"]
    assert {path: path.stat().st_ino for path in before} == before, "a finished run was trained again"


def test_what_the_store_holds_is_only_published(tmp_path):
    """As when somebody deletes results/runs, or another study trained the same runs; unless it is damaged."""
    checkout = Checkout(tmp_path)
    one_core = ("--until", "publish", "--cores", "1")
    assert checkout.snakemake(*one_core).returncode == 0
    for path in checkout.runs():
        for file in path.iterdir():
            file.unlink()
    done = checkout.snakemake(*one_core)
    assert done.returncode == 0 and "Training pack" not in done.stdout
    assert finished(checkout) == ["xs-tttt-identity", "xs-tttt-pooling3"]

    (damaged,) = (path for path in checkout.runs() if "identity" in path.name)
    for file in damaged.iterdir():
        file.unlink()
    (tmp_path / "results/store" / damaged.name / "history.csv").write_text("")
    done = checkout.snakemake(*one_core)
    assert done.returncode == 0 and done.stdout.count(": Training pack") == 1, done.stdout[-3000:]
    assert checkout.planned(*one_core) == set()
