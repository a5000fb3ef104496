"""Fixtures of the training stage's tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

# cuBLAS is deterministic with this alone, as in a real job
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
HERE = Path(__file__).parent

#: runs jobs side by side in forked children and returns their exit codes (-9: killed) and what they printed
Driver = Callable[..., tuple[list[int], str]]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Trainings in these tests are as deterministic as a real job's."""
    threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(deterministic)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A warm parent process; see driver.py."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, HERE / "driver.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdin and process.stdout
    log = tmp_path_factory.mktemp("driver") / "log"

    def run(plan: Path, *jobs: dict[str, Any]) -> tuple[list[int], str]:
        assert process.stdin and process.stdout
        log.write_text("")
        root = plan.parents[2]
        common = {"plan": str(plan), "root": str(root), "log": str(log)}
        process.stdin.write(json.dumps({"jobs": [{**common, **job} for job in jobs or ({},)]}) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline()), log.read_text()

    yield run
    process.stdin.close()
    process.wait()
    process.stdout.close()
