"""Headless Chromium, driven over a pipe by its DevTools protocol: what a reader does, and what the browser says."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: seconds that one answer may take on a machine that has other things to do
PATIENCE = 60.0


@contextlib.contextmanager
def browser(folder: Path) -> Iterator["Browser"]:
    """A browser with an empty profile in `folder`; skips the test where none is installed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("Chromium is missing: apt install chromium")
    (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()

    def pipes() -> None:  # the protocol wants its commands at 3 and answers at 4
        taken = [os.dup(theirs_in), os.dup(theirs_out)]
        for place, descriptor in enumerate(taken, 3):
            os.dup2(descriptor, place)

    quiet = ("--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    call = [found, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={folder}", *quiet, *sandbox]
    process = subprocess.Popen(
        [*call, "about:blank"], preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(theirs_in)
    os.close(theirs_out)
    opened = Browser(ours_in, ours_out)
    try:
        yield opened
    finally:
        with contextlib.suppress(OSError):
            opened.call("Browser.close")
        process.wait(PATIENCE)
        os.close(ours_in)
        os.close(ours_out)


class Browser:
    """One browser with one page. problems: errors and warnings so far; requests: every URL that it asked for."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._in, self._out, self._number, self._rest, self._session = incoming, outgoing, 0, b"", ""
        self.problems: list[str] = []
        self.requests: list[str] = []

    def open(self, url: str, *, width: int = 1300, height: int = 900, dark: bool = False) -> None:
        """Load a page in a new tab, and wait until it says that it is ready."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        phone = width < 500
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1 + phone, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.requests.clear()
        self.call("Page.navigate", url=url)
        self.until("document.body?.dataset.ready === 'yes'")

    def until(self, expression: str) -> None:
        """Look until an expression of JavaScript is true."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}; {self.problems}"

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The visible text of the first element that a selector finds."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def texts(self, selector: str) -> list[str]:
        """The texts of all visible elements that a selector finds."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})].filter(e => e.offsetParent)"
        return self.evaluate(f"{found}.map(e => e.innerText)")

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element, whatever lies on top of it."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{element}.scrollIntoView({{block: 'center'}})")
        box = self.evaluate(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({element}.getClientRects()[0])")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def write(self, selector: str, text: str) -> None:
        """Click into a field and type."""
        self.click(selector)
        self.call("Input.insertText", text=text)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{element}.value = {json.dumps(value)}, {element}.dispatchEvent(new Event('change'))")
        assert self.evaluate(f"{element}.value") == value

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and its answer; events on the way are noted."""
        self._number += 1
        session = (
            {"sessionId": self._session} if self._session and not method.startswith(("Target.", "Browser.")) else {}
        )
        message = {"id": self._number, "method": method, "params": parameters, **session}
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._out, content) :]
        while (answer := self._read()).get("id") != self._number:
            self._note(answer.get("method", ""), answer.get("params", {}))
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], PATIENCE)
            piece = os.read(self._in, 1 << 20) if ready else b""
            if not piece:
                raise OSError("Chromium does not answer")
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(params["args"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
