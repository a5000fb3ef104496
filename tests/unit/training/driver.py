"""A warm parent for tests that kill trainings: torch is imported once, every training is a forked child.

Reads one JSON request a line: {"jobs": [{"plan", "root", "log", "kill"?, "when"?, "signal"?, "file_limit"?,
"checkpoint_seconds"?}, ...]}; runs the jobs side by side and answers with their exit codes. `kill` is
[call, n]: the n-th call of os.replace, os.fsync, os.link, of a write into a file or of an optimiser step ends the child
with `signal` (SIGKILL), `before` or `after` the call, as `when` says. A write is cut in the middle.
Production code has no hook for this.
"""

import json
import os
import pathlib
import resource
import signal
import sys
import traceback

from tokenmix.training import ladder  # noqa: F401  (torch and the engine, imported once)
from tokenmix.training.__main__ import main
from tokenmix.training.optimiser import AdamW


def die_at(owner, name, wanted, when, number):
    original = getattr(owner, name)
    count = 0

    def counted(*arguments, **keywords):
        nonlocal count
        count += 1
        if count == wanted and when == "before":
            os.kill(os.getpid(), number)
        result = original(*arguments, **keywords)
        if count == wanted and when == "after":
            os.kill(os.getpid(), number)
        return result

    setattr(owner, name, counted)


def die_in_write(wanted, number):
    original = pathlib.Path.open
    count = 0

    def opened(path, mode="r", *arguments, **keywords):
        file = original(path, mode, *arguments, **keywords)
        if mode != "wb":
            return file

        class Cut:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def __getattr__(self, name):
                return getattr(file, name)

            def write(self, data):
                nonlocal count
                count += 1
                if count == wanted:
                    file.write(memoryview(data)[: len(data) // 2])
                    file.flush()
                    os.kill(os.getpid(), number)
                return file.write(data)

        return Cut()

    pathlib.Path.open = opened


def child(job):
    log = os.open(job["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(job["root"])
    os.environ["TOKENMIX_CHECKPOINT_SECONDS"] = str(job.get("checkpoint_seconds", 60))
    if "file_limit" in job:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_limit"],) * 2)
    if "kill" in job:
        call, wanted = job["kill"]
        number = signal.Signals[job.get("signal", "SIGKILL")]
        if call == "write":
            die_in_write(wanted, number)
        else:
            owner = AdamW if call == "step" else os
            die_at(owner, call, wanted, job.get("when", "before"), number)
    return main([job["plan"]])


for line in sys.stdin:
    children = []
    for job in json.loads(line)["jobs"]:
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                code = child(job)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(pid)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]), flush=True)
