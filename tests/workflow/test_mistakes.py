"""A user's mistake at the level of Snakemake: one clear message, no job started, no traceback."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, TINY, Checkout

TARGETS = ("all", "paper", "tables", "figures", "table_classification_4t", "figure_curves")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("mistakes"))


def refused(checkout: Checkout, *arguments: str, study: str) -> str:
    done = checkout.snakemake(*arguments, study=study)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert "Job stats" not in done.stdout or "made for GPUs" in done.stdout
    return done.stdout


def test_every_error_of_a_config_is_told_at_once(checkout):
    checkout.study(
        "wrong", TINY.replace("iterations: 12", "iteratoins: 12, lr: -1").replace("pooling: [3]", "poolin: [4]")
    )
    message = refused(checkout, "-n", study="wrong")
    assert "workflow/studies/wrong.yaml:3" in message
    for part in ("iteratoins", "iterations", "lr", "poolin", "pooling"):
        assert part in message


def test_an_unknown_study_names_those_that_exist(checkout):
    message = refused(checkout, "-n", study="dmo")
    assert "dmo" in message and "demo" in message and "mini" in message


def test_the_full_study_stops_where_there_is_no_gpu(checkout):
    if any(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("this machine has a GPU")
    message = refused(checkout, "paper", study="full")
    assert "GPU-hours" in message and "--profile slurm" in message
    assert not (checkout.folder / "results/runs").exists()


def test_the_full_study_can_be_planned_anywhere(checkout):
    done = checkout.snakemake("-n", "--quiet", "all", study="full")
    assert done.returncode == 0, done.stdout[-3000:]
    assert not list(checkout.folder.glob("results/plan/imagewoof*")), "thousands of files are for those who train"


def test_an_edited_plan_file_stops_all_before_the_first_job(checkout):
    (run, *_) = checkout.planned("tables")
    plan = checkout.folder / f"results/plan/{run}.json"
    plan.write_text("{}")
    done = checkout.snakemake("tables")
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert f"results/plan/{run}.json was edited" in done.stdout
    assert not list(checkout.folder.glob("data/phantom*")), "the images were not even prepared"
    plan.unlink()


def test_results_that_cannot_be_written(checkout):
    (checkout.folder / "not_a_folder").write_text("")
    checkout.study("unwritable", TINY + "results: not_a_folder/results\n")
    assert "not_a_folder" in refused(checkout, "-n", study="unwritable")


def test_lint_is_clean(checkout):
    done = checkout.snakemake("--lint")
    assert done.returncode == 0, done.stdout
    subprocess.run([Path(sys.executable).parent / "snakefmt", "--check", "Snakefile", "workflow"], cwd=ROOT, check=True)


def test_progress_is_shown_by_the_rich_logger(checkout):
    done = checkout.snakemake("tables", "-n", "--logger", "rich")
    assert done.returncode == 0 and re.search(r"^ *total +\d+", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_targets_work(checkout, target):
    done = checkout.snakemake("-n", target)
    assert done.returncode == 0, done.stdout


def test_targets_work_with_another_profile(checkout):
    done = checkout.snakemake("-n", "--profile", "slurm", *TARGETS)
    assert done.returncode == 0, done.stdout


def test_one_table_needs_only_its_own_runs(checkout):
    second = """
  second:
    datasets: [phantom_tissue]
    scale: xs
    arrangement: pptt
    mixers: {identity: }
"""
    both = TINY.replace("[classification_4t]", "[classification_4t, second]")
    checkout.study("two", both.replace("profile:", second.lstrip("\n") + "profile:"))
    runs = checkout.planned("table_second", study="two")
    assert {run.split(".")[1] for run in runs} == {"xs-pptt-identity"}


def test_one_table_needs_only_its_own_data_sets(checkout):
    # the table shows parameters, which are counted without any image
    dry = checkout.snakemake("-n", "table_extensions", study="full")
    assert dry.returncode == 0 and "Counting the multiply-adds" in dry.stdout, dry.stdout[-2000:]
    assert re.findall(r"Preparing the images of (\w+)-", dry.stdout) == ["imagewoof"]


def test_two_studies_with_a_table_of_the_same_name_share_their_runs_and_nothing_else_of_it(checkout):
    checkout.study("twin", TINY)
    logs = {}
    for study in ("tiny", "twin"):
        told = checkout.snakemake("-n", "-p", "tables", "figures", study=study).stdout
        logs[study] = {log for log in re.findall(r"> (logs/\S+)", told) if "classification_4t" in log or "ranks" in log}
        assert f"results/{study}/paper/tables/classification_4t.tex" in told
    assert logs["tiny"] and not logs["tiny"] & logs["twin"], "the logs of one study would replace the other's"
    assert checkout.planned("tables", study="tiny") == checkout.planned("tables", study="twin")


def test_make_says_what_a_bare_machine_misses(checkout):
    # without LaTeX and without apt: the packages for each system
    done = subprocess.run(
        ["/bin/bash", "envs/setup", "latex"], cwd=checkout.folder, env={"PATH": "/nowhere:/usr/bin/only"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    for system in ("Debian", "Fedora", "macOS", "conda"):
        assert system in done.stderr
