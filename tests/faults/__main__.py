"""`make faults`: every fault many times, and the table of what they left.

    python -m tests.faults [--times 20] [--only NAME ...] [--out FILE]

Faults of `cluster` need root, slurm-wlm and munge, and are left out where they are missing.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.local import FAULTS
from faults.scene import Fault, Scene, Verdict, digests

HEAD = """\
| fault | injected how | times | lost | trained twice | bytes equal | seconds each |
|---|---|--:|--:|--:|--:|--:|
"""


def judge(fault: Fault, times: int, undisturbed: dict[str, str]) -> str:
    """One line of the table."""
    verdicts: list[Verdict] = []
    start = time.monotonic()
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder, Scene(Path(folder)) as scene:
            fault(scene)
            verdicts.append(scene.verdict(undisturbed))
    seconds = (time.monotonic() - start) / times
    how = (fault.__doc__ or "").rstrip(".")
    lost, twice = sum(v.lost for v in verdicts), sum(v.trained_twice for v in verdicts)
    equal = sum(v.equal for v in verdicts)
    name = fault.__name__.replace("_", " ")
    return f"| {name} | {how} | {times} | {lost} | {twice} | {equal} of {times} | {seconds:.0f} |\n"


def main() -> None:
    """Do all faults, print the table as it grows, and keep it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[fault.__name__ for fault in FAULTS])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Scene(Path(folder)) as scene:
        scene.finish()
        undisturbed = digests(scene.folder)
    table = HEAD
    print(HEAD, end="", flush=True)
    for fault in FAULTS:
        if fault.__name__ in arguments.only:
            line = judge(fault, arguments.times, undisturbed)
            print(line, end="", flush=True)
            table += line
    if arguments.out:
        arguments.out.write_text(table)


if __name__ == "__main__":
    main()
