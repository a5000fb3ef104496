"""Identity of prepared data: the source's checksum, the parameters and the code that prepares it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenmix.files import canonical_json
from tokenmix.study.code import DIGITS, code_identity
from tokenmix.study.manifest import DatasetEntry

#: what tells people about a data set; it may be edited at any time, and what shows it reads it from the study index
ABOUT = {"title", "licence", "doi"}
#: that, and where a data set lies: what leaves the arrays as they are
DOCUMENTATION = {*ABOUT, "path", "files"}


@dataclass(frozen=True)
class DataIdentity:
    """Which prepared data a run uses. parts: what the hash covers, for later comparison; about: in words."""

    name: str
    size: int
    kind: str
    parts: Mapping[str, Any]
    about: Mapping[str, str]

    @property
    def padding(self) -> str:
        """How images become square."""
        return str(self.parts["parameters"].get("padding", "square"))

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all parts, in hex."""
        return hashlib.sha256(canonical_json(self.parts).encode()).hexdigest()

    @property
    def dimensions(self) -> int:
        """2 for images, 3 for volumes."""
        return int(self.parts["parameters"].get("dimensions", 2))

    @property
    def channels(self) -> int:
        """Of an image: 1 or 3."""
        return int(self.parts["parameters"]["channels"])

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.parts["parameters"]["classes"])

    @property
    def folder(self) -> str:
        """Name of the folder of the prepared arrays, `breastmnist-28.1a2b3c4d`."""
        return f"{self.name}-{self.size}.{self.hash[:DIGITS]}"


def data_identity(
    name: str, size: int, manifest: Mapping[str, DatasetEntry], source: Path, padding: str = "square"
) -> DataIdentity:
    """Identity of a data set prepared at `size` pixels by the code of the package below `source`.

    padding: the config's `data.padding`, which means something for an archive of folders only.
    """
    entry = manifest[name]
    # defaults are left out, so that a field added to the manifest later changes no hash
    fields = entry.model_dump(mode="json", exclude=DOCUMENTATION, exclude_defaults=True)
    parameters = {"name": name, "size": size, **fields}
    if entry.kind == "imagefolder_archive" and padding != "square":
        parameters["padding"] = padding
    file = entry.source(size)
    checksums = file.model_dump(include={"md5", "sha256"}, exclude_none=True) if file else {}
    code = code_identity([f"tokenmix.data.prepare_{entry.kind}"], source)
    parts = {"parameters": parameters, "source": checksums, "code": code.parts}
    return DataIdentity(name, size, entry.kind, parts, entry.model_dump(include=ABOUT))
