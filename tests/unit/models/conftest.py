"""Numba's cache does not notice edits of imported files: here everything is compiled afresh."""

import os
import tempfile

_folder = tempfile.TemporaryDirectory(prefix="tokenmix-numba-")
os.environ["NUMBA_CACHE_DIR"] = _folder.name
