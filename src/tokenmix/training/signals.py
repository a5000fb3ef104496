"""Signals that ask a job to stop: it writes its state first and leaves with an exit code of its own."""

import signal
from types import FrameType

#: EX_TEMPFAIL: the job was stopped and goes on where it was when it is started again
EXIT_STOPPED = 75


class Stopped(Exception):
    """The job leaves because a signal asked for it; the message says what is kept."""


class StopRequest:
    """Remembers a SIGTERM (pre-emption), SIGUSR1 (the time limit is near) or SIGINT (Ctrl-C)."""

    def __init__(self) -> None:
        self.signal: str | None = None
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number).name
