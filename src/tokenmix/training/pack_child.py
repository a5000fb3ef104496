"""What a pack forks: a process that becomes one run, on that run's own frozen code."""

import contextlib
import importlib
import os
import re
import sys
import traceback
from pathlib import Path
from typing import IO

#: how libraries say that memory is short or a device ill, which another attempt may mend
NOT_THE_CODE = re.compile(
    r"out of memory|not enough memory|allocate memory|CUDA error|CUDA driver|No CUDA GPUs|cudaGetDeviceCount"
    r"|Triton Error|cuDNN error|CUDNN_STATUS|CUBLAS_STATUS",
    re.IGNORECASE,
)


def become(run: str, plan: Path, code: Path, complaint: IO[bytes]) -> None:
    """In the child: be `python -m tokenmix.training <plan>` on the run's own frozen code; never returns.

    Where that raises, and neither memory nor files nor the device are the reason, `complaint` gets the traceback.
    """
    status = 1
    try:
        # rather this process than the one that watches over all of them, when memory runs out
        with contextlib.suppress(OSError):  # not Linux, or not allowed
            Path("/proc/self/oom_score_adj").write_text("500")
        log = Path("logs", "train", f"{run}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        for name in [name for name in sys.modules if name.partition(".")[0] == "tokenmix"]:
            del sys.modules[name]
        sys.path.insert(0, str(code.resolve()))
        status = importlib.import_module("tokenmix.training.__main__").main([str(plan), "--only", "train"])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        traceback.print_exc()
        if not isinstance(error, MemoryError | OSError) and not NOT_THE_CODE.search(str(error)):
            complaint.write(traceback.format_exc().encode())
            complaint.flush()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # nothing may end in the copy of the process that watches
            os._exit(status)
