"""Train a pack of runs in one job: `python -m tokenmix.training.pack results/plan/packs/<pack>.json --receipt FILE`.

This process imports what every training needs, once, and forks for each run; it never touches the device. A
child trains the frozen code of *its* run, which need not be the code of this module, works in its own store
under its own lease, and writes its own log and benchmark: what happens to one run does not reach the others.

A run that was killed is tried again, here and by further attempts at the job: memory, time or the machine may have
been the reason. A run that raises the same exception twice has failed, and is tried again when the user starts the
workflow anew.

Exit codes: 0 the receipt is written: every run is finished or has failed for a reason of its own; 2 a mistake
that the user can mend; 75 runs were cut off, and the same command goes on with them.
"""

import argparse
import contextlib
import gc
import importlib
import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tokenmix.errors import UserError
from tokenmix.files import pretty_json, read_json, write_atomic
from tokenmix.study.tolerant import read_object
from tokenmix.training.gpu import Probe, Reading, read_gpu
from tokenmix.training.pack_child import become
from tokenmix.training.signals import EXIT_STOPPED, StopRequest

#: imported before the first fork; what only some models need, for packs in which their names occur
PRELOADED = ("numpy", "torch", "safetensors.torch")
PRELOADED_FOR = {"local_attn": "numba", "resnet": "timm.models.resnet"}
#: seconds between two looks at the children, and at the device
LOOK, LOOK_AT_DEVICE = 0.02, 2.0
#: exit codes of a training; all others, and death by a signal, are crashes
OUTCOMES = {0: "finished", 2: "failed", EXIT_STOPPED: "stopped"}
#: what another attempt may mend: no memory left, a lease lost. It is tried once more in the same job, alone
CUT_OFF, TRIES = ("stopped", "crashed"), 2


@dataclass
class Child:
    """A run in training: its process, the traceback it leaves where its code fails, when it began, and what fell to it
    so far of the device's time (seconds) and energy (joules), which runs side by side share."""

    run: str
    pid: int
    traceback: IO[bytes]
    began: float = field(default_factory=time.time)
    gpu_seconds: float = 0.0
    energy: float = 0.0


class Pack:
    """The runs of one pack on their way to an outcome each."""

    def __init__(self, path: Path, stop: StopRequest, attempt: int) -> None:
        content = _read(path)
        self.name, self.results, self.stop = path.stem, path.parents[2], stop
        self.plans: dict[str, Mapping[str, Any]] = {
            run: read_json(self.results / "plan" / f"{run}.json") for run in content["runs"]
        }
        self.threads: int = content["threads"]
        self.waiting = deque(content["runs"])
        self.again: deque[str] = deque()
        self.tries = dict.fromkeys(content["runs"], 0)
        self.running: dict[int, Child] = {}
        self.tracebacks: dict[str, bytes] = {}
        self.outcomes: dict[str, dict[str, Any]] = {}
        self._look_back(attempt)
        self.probe = Probe(content["at_most"], certain=not content["probe"])
        self.device: Reading | None = None
        self.device_seen = self.shared_until = self.told_to_stop = 0.0

    def _look_back(self, attempt: int) -> None:
        """Leave out what has failed in an earlier attempt at this job; the first attempt tries all afresh."""
        for run in list(self.waiting):
            note = self._note(run)
            told = read_object(note)
            if told.get("status") != "failed":
                continue
            if attempt == 1:
                with contextlib.suppress(OSError):  # another user's; it says nothing to this attempt
                    note.unlink()
            elif told.get("pack") == self.name:
                self.waiting.remove(run)
                self.outcomes[run] = {"status": "failed", "exit": told.get("exit")}

    def _note(self, run: str) -> Path:
        return self.results / "store" / run / "packed.json"

    def train(self) -> None:
        """Fork, wait and note outcomes until no run is left, or until a signal has ended all of them."""
        self._preload()
        gc.freeze()  # the children share the memory of what is loaded
        try:
            while self.running or ((self.waiting or self.again) and not self.stop.signal):
                if self.stop.signal:
                    self._tell_to_stop()
                while not self.stop.signal and (run := self._next()):
                    self._fork(run)
                self._look_at_device()
                self._collect()
        finally:
            # after an error in here no training goes on unwatched
            while self.running:
                self._tell_to_stop()
                self._wait()

    def _tell_to_stop(self) -> None:
        # again and again: a signal may reach a child before it listens
        if time.monotonic() - self.told_to_stop > 1:
            self.told_to_stop = time.monotonic()
            for pid in self.running:
                os.kill(pid, signal.SIGTERM)

    def _next(self) -> str | None:
        if self.waiting and len(self.running) < self.probe.at_once:
            return self.waiting.popleft()
        # alone: memory may have been short
        return self.again.popleft() if self.again and not self.waiting and not self.running else None

    def _preload(self) -> None:
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(self.threads)
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        models = " ".join(plan["spec"]["model"] for plan in self.plans.values())
        for module in (*PRELOADED, *(module for part, module in PRELOADED_FOR.items() if part in models)):
            importlib.import_module(module)

    def _fork(self, run: str) -> None:
        self.tries[run] += 1
        sys.stdout.flush()
        sys.stderr.flush()
        complaint = tempfile.TemporaryFile()  # noqa: SIM115 - read when the child has ended
        pid = os.fork()
        if pid == 0:
            become(run, self.results / "plan" / f"{run}.json", Path(self.plans[run]["code"]["folder"]), complaint)
        self.running[pid] = Child(run, pid, complaint)

    def _wait(self) -> tuple[Child, int, Any] | None:
        """A child that has ended, its exit code and what it used; None after a moment in which none has."""
        pid, status, usage = os.wait4(-1, os.WNOHANG) if self.running else (0, 0, None)
        if not pid:
            time.sleep(LOOK)
            return None
        return self.running.pop(pid), os.waitstatus_to_exitcode(status), usage

    def _collect(self) -> None:
        if not (ended := self._wait()):
            return
        child, code, usage = ended
        outcome = OUTCOMES.get(code, "crashed")
        if outcome == "crashed" and self._fails_alike(child):
            outcome = "failed"
        seconds = time.time() - child.began
        _say(f"{child.run}: {outcome} after {seconds:.1f} s (exit code {code})")
        if outcome in CUT_OFF and self.tries[child.run] < TRIES:
            self.again.append(child.run)
        else:
            self.outcomes[child.run] = {"status": outcome, "exit": code}
            # to the workflow a finished run belongs to the pack that trained it
            with _told(f"{child.run}: its outcome is not noted"):
                write_atomic(self._note(child.run), pretty_json({"pack": self.name, **self.outcomes[child.run]}))
        with _told(f"{child.run}: its benchmark is not kept"):
            self._keep_benchmark(child, outcome, seconds, usage)

    def _fails_alike(self, child: Child) -> bool:
        """Whether the run ended in the same exception as the time before."""
        with child.traceback as file:
            file.seek(0)
            text = file.read()
        before, self.tracebacks[child.run] = self.tracebacks.get(child.run), text
        return bool(text) and text == before

    def _keep_benchmark(self, child: Child, outcome: str, seconds: float, usage: Any) -> None:
        entry = {
            "run": child.run,
            "pack": self.name,
            "outcome": outcome,
            "s": round(seconds, 3),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
            "max_rss_mb": round(usage.ru_maxrss / 1024, 1),
            "side_by_side": self.probe.at_once,
            "gpu_s": round(child.gpu_seconds, 3) if child.gpu_seconds else None,
            "energy_joules": round(child.energy, 1) if child.energy else None,
        }
        path = self.results / "benchmarks" / "train" / f"{child.run}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(pretty_json(entry).replace("\n", "") + "\n")

    def _look_at_device(self) -> None:
        now = time.monotonic()
        if self.device:
            for child in self.running.values():
                share = (now - self.shared_until) / len(self.running)
                child.gpu_seconds += share
                child.energy += share * (self.device.watts or 0.0)
        self.shared_until = now
        if self.running and now - self.device_seen >= LOOK_AT_DEVICE:
            self.device = read_gpu()
            self.device_seen = now if self.device else float("inf")  # no device: never look again
            self.probe.take(self.device, threads=self.threads)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Where bookkeeping cannot be written, one line says so: it costs no run anything."""
    try:
        yield
    except (OSError, UserError) as error:
        _say(f"{what}: {error}")


def _say(line: str) -> None:
    # on a full disk there is no log either
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _read(path: Path) -> Mapping[str, Any]:
    content = read_json(path)
    try:
        runs = content["runs"]
        twice = sorted({run for run in runs if runs.count(run) > 1})
        content["threads"], content["at_most"], content["probe"]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no list of a pack ({error!r}); delete it and plan the study again") from error
    if twice:
        raise UserError(f"{path} names {', '.join(twice)} twice; delete it and plan the study again")
    return content


def main(arguments: list[str] | None = None) -> int:
    """Train the pack and write its receipt; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tokenmix.training.pack", description=__doc__)
    parser.add_argument("pack", type=Path, help="frozen list of runs (results/plan/packs/<pack>.json)")
    parser.add_argument("--receipt", type=Path, required=True, help="written when no run is left to train")
    parser.add_argument("--attempt", type=int, default=1, help="number of this attempt at the job, from 1")
    parser.add_argument("--attempts-left", type=int, default=0, help="further attempts at the runs that are cut off")
    parsed = parser.parse_args(arguments)
    try:
        pack = Pack(parsed.pack.absolute(), StopRequest(), parsed.attempt)
        pack.train()
        cut_off = [run for run, outcome in pack.outcomes.items() if outcome["status"] in CUT_OFF]
        if pack.stop.signal or (cut_off and parsed.attempts_left):
            why = pack.stop.signal or f"{len(cut_off)} runs crashed or were killed"
            print(f"stopped: {why}; the same command goes on with what is not finished", file=sys.stderr)
            return EXIT_STOPPED
        write_atomic(parsed.receipt, pretty_json({"pack": pack.name, "runs": pack.outcomes}))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
