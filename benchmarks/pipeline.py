"""How long the embedded study takes with a ready environment, a second call, its paper from an archive, and single jobs
of tables and figures.

Stated: 300 s, 8 s and 60 s on two cores, 3 s a table, 5 s a figure. Runs in copies of the tracked files, so that no
result of this checkout is used or touched.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def timed(cwd: Path, *command: str) -> float:
    """Seconds that a command takes; ends with its output when it fails."""
    environment = {**os.environ, "PYTHONPATH": "src"}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout[-3000:]}{done.stderr[-3000:]}\nerror: {' '.join(command)} failed")
    return time.perf_counter() - start


def rebuilt(archive: Path) -> float:
    """Seconds of what `make paper FROM=archive` does in a fresh copy, once the environment is there."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
        fresh = Path(folder)
        restore = timed(fresh, sys.executable, "-m", "tokenmix", "archive", "restore", str(archive))
        return restore + timed(fresh, str(BIN / "snakemake"), "paper", "--config", "study=demo")


def main() -> None:
    """Print each time against the stated figure."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
        copy = Path(folder)
        snakemake = [str(BIN / "snakemake"), "all", "--config", "study=demo"]
        print(f"embedded study, nothing computed yet  {timed(copy, *snakemake):6.1f} s  (stated: 300)", flush=True)
        print(f"a second call with nothing to do      {timed(copy, *snakemake):6.1f} s  (stated: 8)", flush=True)
        timed(copy, str(BIN / "snakemake"), "archive", "--config", "study=demo")
        seconds = rebuilt(copy / "results/demo/archive.zip")
        print(f"the paper from an archive of it       {seconds:6.1f} s  (stated: 60)", flush=True)
        (plan,) = (copy / "results/plan").glob("demo.*.json")
        jobs = [
            ("table", "classification_4t", 3),
            *(("figure", f.stem, 5) for f in copy.glob("results/demo/paper/figures/*.png")),
        ]
        for product, name, stated in jobs:
            seconds = timed(copy, sys.executable, "-m", "tokenmix", "report", product, name, "--plan", str(plan))
            print(f"{product} {name:31}{seconds:6.1f} s  (stated: {stated})", flush=True)


if __name__ == "__main__":
    main()
