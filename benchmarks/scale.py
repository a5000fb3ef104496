"""Studies of many runs: freezing the plan, a dry run, and a call with nothing to do.

    python -m benchmarks.scale [--runs 200 2000 20000]

Stated for 2,000 runs on two cores: plan 5 s, `snakemake -n` 8 s, nothing to do 15 s. The runs of the last are
taken for finished: their files are empty and newer than what they are made from.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
STATED = {2000: {"plan": 5, "first dry run": 8, "dry run": 8, "nothing to do": 15}}
STUDY = """\
title: A study of {runs} runs
seeds: {seeds}
training: {{iterations: 100, batch_size: 64, precision: fp32}}
execution: {{needs_gpu: false}}
datasets:
  phantom_tissue: {{size: 28}}
  phantom_organs: {{size: 28}}
paper_tables: [classification_4t]
tables:
  classification_4t:
    datasets: [phantom_tissue, phantom_organs]
    scale: xs
    mixers: {{pooling: [3, 5, 7], conv: [3], sep_conv: [3, 5], local_attn: [3], full_attn: , identity: ,
             random: , random_learned: false}}
    baselines: []
"""
CELLS = 20


def timed(folder: Path, *command: str) -> tuple[float, str]:
    """Wall seconds and output of a command; ends with its output where it fails."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": "src"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{done.stdout[-3000:]}\nerror: {' '.join(command)} failed")
    return time.perf_counter() - start, done.stdout


def pretend_finished(folder: Path) -> None:
    """Empty artefacts for each run, and prepared data older than they are."""
    (plan,) = (folder / "results/plan").glob("scale.*.json")
    index = json.loads(plan.read_text())
    for entry in index["datasets"].values():
        card = folder / entry["folder"] / "card.json"
        card.parent.mkdir(parents=True)
        card.write_text("{}")
        for split in ("train", "val", "test"):
            for kind in ("images", "labels"):
                (card.parent / f"{split}_{kind}.npy").touch()
        (card.parent / "samples.png").touch()
    for run in index["runs"]:
        for folder_of in ("store", "runs"):
            (folder / "results" / folder_of / run).mkdir(parents=True)
        (folder / "results/store" / run / "finished.json").write_text("{}")
        for name in ("model.safetensors", "history.csv", "predictions.npz", "run.json"):
            (folder / "results/runs" / run / name).touch()


def measure(runs: int) -> dict[str, float]:
    """Seconds of each call for a study of so many runs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), name], check=True)
        study = STUDY.format(runs=runs, seeds=list(range(runs // CELLS)))
        (folder / "workflow/studies/scale.yaml").write_text(study)
        snakemake = [str(BIN / "snakemake"), "--config", "study=scale", "--until", "publish"]
        plan, _ = timed(folder, sys.executable, "-m", "tokenmix", "plan", "--study", "scale")
        frozen, _ = timed(folder, *snakemake, "-n", "--quiet")
        dry, _ = timed(folder, *snakemake, "-n", "--quiet")
        pretend_finished(folder)
        idle, said = timed(folder, *snakemake)
        assert re.search(r"^total +0$", said, re.MULTILINE), said[-2000:]
        return {"plan": plan, "first dry run": frozen, "dry run": dry, "nothing to do": idle}


def main() -> int:
    """Print the curve; exit code 1 where a call takes longer than stated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[200, 2000, 20000])
    slow = False
    for runs in parser.parse_args().runs:
        stated = STATED.get(runs, {})
        for name, seconds in measure(runs).items():
            slow |= seconds > stated.get(name, float("inf"))
            limit = f"  (stated: {stated[name]})" if name in stated else ""
            print(f"{runs:6d} runs  {name:14}{seconds:7.1f} s{limit}", flush=True)
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
