"""Resumable state in two slots: whatever kills a job, one whole state stays on the disk.

A slot is a magic word, the number of the write, a SHA-256 and what `torch.save` made. It is read
with `weights_only=True`: no pickled code runs.
"""

import contextlib
import hashlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import torch

from tokenmix.errors import UserError
from tokenmix.training.store import sync_folder

MAGIC = b"TMXSTATE"
HEADER = len(MAGIC) + 8 + 32


class StateSlots:
    """The two state files of one run's store; a write always goes to the older slot."""

    def __init__(self, folder: Path) -> None:
        self.paths = (folder / "state.0", folder / "state.1")
        self._newest = (0, 1)  # number of the newest write, and the slot that holds it

    def load(self) -> dict[str, Any] | None:
        """The newest whole state, tensors on the host, or None; says which slot is damaged, if one is."""
        payloads: list[tuple[int, int, bytes]] = []
        for slot, path in enumerate(self.paths):
            if path.exists():
                checked = _read(path)
                if checked is None:
                    _passed_over(path, "its checksum does not fit")
                else:
                    payloads.append((checked[0], slot, checked[1]))
        for number, slot, payload in sorted(payloads, reverse=True):
            try:
                state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
            except Exception as error:  # torch does not say what it raises for bytes that are no state
                _passed_over(self.paths[slot], f"{type(error).__name__}")
                continue
            if isinstance(state, dict):
                self._newest = (number, slot)
                return state
            _passed_over(self.paths[slot], "it holds no state")
        if any(path.exists() for path in self.paths):
            print("no usable state is left: training starts from the beginning", file=sys.stderr, flush=True)
        return None

    def save(self, state: dict[str, Any]) -> None:
        """Write a state into the older slot; raises UserError where the disk is full or not writable."""
        number, slot = self._newest[0] + 1, 1 - self._newest[1]
        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = buffer.getbuffer()
        numbered = number.to_bytes(8, "big")
        header = MAGIC + numbered + _digest(numbered, payload)
        path = self.paths[slot]
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                file.write(header)
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):  # a read-only disk refuses that as well
                temporary.unlink(missing_ok=True)
            raise UserError(
                f"cannot write the state {path}: {error.strerror}; free some space (or make the folder "
                "writable) and start again: the run goes on from the state written before"
            ) from error
        self._newest = (number, slot)

    def clear(self) -> None:
        """Remove both slots and what a killed write left behind."""
        for path in self.paths:
            path.unlink(missing_ok=True)
            for leftover in path.parent.glob(f".{path.name}.*"):
                leftover.unlink(missing_ok=True)


def _passed_over(path: Path, reason: str) -> None:
    print(f"{path} is damaged ({reason}) and is not used", file=sys.stderr, flush=True)


def _read(path: Path) -> tuple[int, bytes] | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the state {path}: {error.strerror}; make it readable or delete it") from error
    number, digest, payload = content[8:16], content[16:HEADER], memoryview(content)[HEADER:]
    if len(content) <= HEADER or content[:8] != MAGIC or _digest(number, payload) != digest:
        return None
    return int.from_bytes(number, "big"), bytes(payload)


def _digest(number: bytes, payload: memoryview) -> bytes:
    digest = hashlib.sha256(number)
    digest.update(payload)
    return digest.digest()
