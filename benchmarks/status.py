"""`tokenmix status` for studies of up to 20,000 runs: seconds for one look; at most 1 s for 2,000 runs.

    python -m benchmarks.status [--runs 200 2000 20000]

Writes a folder of results as a study in full swing leaves it: eight of ten runs done, one in fifty diverged, failed
or running, the rest queued. The peer is a stat of each run's attestation, which any look must do at least.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.0
REPEATS = 3


def write_study(root: Path, number: int) -> list[str]:
    """Plan index and results of `number` runs below `root`; returns the runs."""
    results = root / "results"
    runs = [f"set{i % 10}-28.xs-tttt-pooling3.scratch.s{i}.{i:08x}" for i in range(number)]
    (root / "config.yaml").write_text("study: full\n")
    files = {
        results / "plan" / "full.00000000.json": {
            "study": "full",
            "runs": {run: {"dataset": "x", "tables": ["a"], "code_folder": "results/code/00000000"} for run in runs},
        }
    }
    for i, run in enumerate(runs):
        store = results / "store" / run
        kind = i % 50
        if kind < 41:
            status = "diverged" if kind == 40 else "finished"
            # as long as a real attestation
            files[results / "runs" / run / "run.json"] = {"status": status, "spec": dict.fromkeys(map(str, range(150)))}
        elif kind < 43:
            files[store / "lease.1"] = {"released": True} if kind == 41 else {"host": "node", "pid": 1}
            files[store / "progress.json"] = {"epoch": 2, "epochs": 9, "iteration": 20, "iterations": 90, "loss": 1.0}
            if kind == 41:
                files[store / "packed.json"] = {"pack": "0", "status": "failed", "exit": 1}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return runs


def seconds(work: list[str], root: Path) -> float:
    """Median wall time of a process, its start included."""
    times = []
    for _ in range(REPEATS):
        started = time.monotonic()
        subprocess.run([sys.executable, *work], cwd=root, check=True, capture_output=True)
        times.append(time.monotonic() - started)
    return statistics.median(times)


def main() -> int:
    """Measure and print; exit code 1 where 2,000 runs take longer than the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[200, 2000, 20000])
    slow = False
    for number in parser.parse_args().runs:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            runs = write_study(root, number)
            looked = seconds(["-m", "tokenmix", "status", "--json"], root)
            started = time.monotonic()
            for run in runs:
                (root / "results" / "runs" / run / "run.json").exists()
            stats = time.monotonic() - started
        slow |= number <= 2000 and looked > LIMIT
        limit = f"  (limit {LIMIT:.0f} s)" if number == 2000 else ""
        print(f"{number:>6} runs  status {looked:5.2f} s, start included  a stat a run {stats:5.2f} s{limit}")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
