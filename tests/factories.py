"""Makers of small data for tests: MedMNIST archives, folders of images, prepared data sets, a web server."""

import hashlib
import http.server
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tokenmix.data.card import Facts

SPLITS = {"train": 12, "val": 5, "test": 7}


def facts(**changes: Any) -> Facts:
    """What a small three-class grey data set of 8 pixels would announce."""
    standard: dict[str, Any] = {
        "name": "tiny",
        "size": 8,
        "title": "Tiny",
        "task": "multi-class",
        "classes": ("a", "b", "c"),
        "channels": 1,
        "dimensions": 2,
        "splits": dict(SPLITS),
        "licence": "CC0-1.0",
        "hash": "0" * 64,
    }
    return Facts(**(standard | changes))


def medmnist_arrays(about: Facts, seed: int = 0) -> dict[str, np.ndarray]:
    """The six arrays of a MedMNIST archive: grey images have no channel axis, labels are `(N, 1)`."""
    rng = np.random.default_rng(seed)
    shape = about.image_shape if about.channels == 3 else about.image_shape[:-1]
    arrays = {}
    for split, count in about.splits.items():
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        if about.task == "multi-label":
            arrays[f"{split}_labels"] = rng.integers(0, 2, (count, len(about.classes)), dtype=np.uint8)
        else:
            labels = rng.permutation(np.arange(count) % len(about.classes))
            arrays[f"{split}_labels"] = labels.astype(np.uint8)[:, None]
    return arrays


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write an npz archive; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def image_folder(
    root: Path,
    counts: Mapping[str, int] | None = None,
    classes: Sequence[str] = ("cat", "dog"),
    *,
    mode: str = "RGB",
    shape: tuple[int, int] = (20, 14),
    seed: int = 0,
) -> Path:
    """A folder `<split>/<class>/<n>.png` with `counts[split]` random images (height, width) per class."""
    rng = np.random.default_rng(seed)
    for split, count in (counts or {"train": 10, "val": 3}).items():
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(folder / f"{number:03d}.png")
    return root


def prepared_phantom(out: Path, *, family: str = "phantom_tissue", size: int = 28, splits: Any = None) -> Path:
    """A small prepared phantom data set in the folder `out` (unless said otherwise 32, 16, 16 cases)."""
    from tokenmix.data.publish import publish

    grey = family == "phantom_tissue"
    about = facts(
        name=family,
        title=family,
        size=size,
        classes=("a", "b", "c", "d"),
        channels=1 if grey else 3,
        splits=splits or {"train": 32, "val": 16, "test": 16},
        phantom=True,
    )
    publish("phantom", None, about, out)
    return out


def tree(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file below a folder, hidden ones too."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@dataclass
class Server:
    """A web server on this computer with one file `/data.bin`, which can misbehave.

    `answers` holds what the next requests get: "break:N" sends N bytes and breaks off, "status:503" is
    an error (with `retry_after`), "redirect:URL" says so, "whole" ignores a range; then the file is
    served as it should be.
    """

    content: bytes
    url: str = ""
    answers: list[str] = field(default_factory=list)
    retry_after: str = ""
    announce: bool = True  # whether the length is told
    requests: list[tuple[str, str]] = field(default_factory=list)  # (path, Range header)


@contextmanager
def serve(content: bytes) -> Iterator[Server]:
    """Run a `Server` while the block lasts."""
    state = Server(content)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            state.requests.append((self.path, asked))
            action, _, value = (state.answers.pop(0) if state.answers else "").partition(":")
            if action in ("status", "redirect"):
                self.send_response(302 if action == "redirect" else int(value))
                if action == "redirect":
                    self.send_header("Location", value)
                if state.retry_after:
                    self.send_header("Retry-After", state.retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and action != "whole" else 0
            if start >= len(state.content) and asked:
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = state.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            if state.announce:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: int(value)] if action == "break" else body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/data.bin"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
