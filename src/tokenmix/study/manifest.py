"""The typed view of `data/manifest.yaml`, of data sets of other packages and of the folders a user has registered."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tokenmix.study import installed
from tokenmix.study.code import SOURCE, module_file
from tokenmix.study.explain import dotted, findings_of
from tokenmix.study.problems import Problem, raise_problems
from tokenmix.study.yaml_lines import Document, Place, read_yaml

MANIFEST = SOURCE / "tokenmix" / "data" / "manifest.yaml"
#: what a data set of another package may be called
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Source(_Part):
    """One file to fetch and how to recognise it."""

    url: str = Field(pattern=r"^https?://[^\s]+$", description="address; https except on this computer")
    bytes: int | None = Field(default=None, ge=1, description="size of the file")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$", description="MD5 in hex")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="SHA-256 in hex")

    @model_validator(mode="after")
    def _verifiable(self) -> "Source":
        if not self.md5 and not self.sha256:
            raise ValueError("a file needs md5 or sha256, so that a wrong one is noticed")
        return self


class Carve(_Part):
    """How a validation split is taken from the training split."""

    fraction: float = Field(gt=0, lt=1, description="share of the training split, class by class")
    seed: int = Field(ge=0, description="seed of the choice")


class Splits(_Part):
    """Number of cases in each split, as training sees them (after carving)."""

    train: int = Field(ge=1)
    val: int = Field(ge=1)
    test: int = Field(ge=1)


class DatasetEntry(_Part):
    """What is known of a data set before it is fetched."""

    kind: Literal["medmnist", "imagefolder_archive", "folder", "phantom"]
    title: str = Field(min_length=1)
    task: Literal["binary", "multi-class", "ordinal", "multi-label"]
    classes: list[str] = Field(min_length=2, description="names in the order of their numbers")
    channels: Literal[1, 3]
    dimensions: Literal[2, 3] = 2
    licence: str = Field(default="", description="licence of the images")
    doi: str = Field(default="", description="what to cite")
    splits: Splits
    carve: Carve | None = None
    files: dict[Annotated[int, Field(ge=0)], Source] = Field(
        default={}, description="by image size; size 0 is one file for every size"
    )
    path: str = Field(default="", description="a registered folder: where its images are")
    sha256: str = Field(
        default="", pattern=r"^([0-9a-f]{64})?$", description="a registered folder: checksum of its images"
    )

    @model_validator(mode="after")
    def _complete(self) -> "DatasetEntry":
        if self.kind in ("medmnist", "imagefolder_archive") and not self.files:
            raise ValueError(f"a data set of kind {self.kind} needs files")
        if self.kind == "folder" and not (self.path and self.sha256):
            raise ValueError("a registered folder needs path and sha256; register it again")
        if self.task == "binary" and len(self.classes) != 2:
            raise ValueError(f"a binary task has two classes, not {len(self.classes)}")
        return self

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The image sizes on offer; None where images are scaled to any size."""
        return tuple(sorted(self.files)) if self.files and 0 not in self.files else None

    def source(self, size: int) -> Source | None:
        """The file that images of this size come from; None for phantoms and registered folders."""
        return self.files.get(size) or self.files.get(0)


def load_manifest(data_folder: Path | str | None = None, manifest: Path = MANIFEST) -> dict[str, DatasetEntry]:
    """Every data set by name: of the manifest, of installed packages, then the folders registered below `data_folder`.

    Raises UserError with every mistake of every file.
    """
    problems: list[Problem] = []
    document = read_yaml(manifest, manifest.name)
    problems += document.problems
    entries: dict[str, DatasetEntry] = {}
    for name, value in document.value.items():
        _add(entries, str(name), value, document, (name,), problems)
    for name, offer in installed.offers(installed.DATASETS).items():
        _add_offered(entries, name, offer, problems)
    registered = Path(data_folder) / "registered" if data_folder is not None else None
    for path in _yaml_files(registered, problems) if registered else []:
        own = read_yaml(path, str(path))
        problems += own.problems
        if path.stem in entries:
            text = f"the name `{path.stem}` belongs to the manifest or to an installed package; choose another"
            problems.append(Problem(own.name, text))
        elif not own.problems:
            _add(entries, path.stem, own.value, own, (), problems)
    raise_problems("the list of data sets", problems)
    return entries


def _add_offered(entries: dict[str, DatasetEntry], name: str, offer: installed.Offer, problems: list[Problem]) -> None:
    """The data set of an installed package, from `<name>.yaml` beside the module that its entry point names."""
    module = module_file(offer.module, SOURCE)
    if module is None:
        text = f"the module {offer.module} of the data set `{name}` is missing; install the package anew"
        problems.append(Problem(offer.package, text))
        return
    if name in entries or not NAME.fullmatch(name):
        text = f"the data set `{name}` needs a name of its own, in small letters, digits and `_`; uninstall the package"
        problems.append(Problem(offer.package, text))
        return
    path = module.with_name(f"{name}.yaml")
    document = read_yaml(path, str(path))
    problems += document.problems
    if not document.problems:
        _add(entries, name, document.value, document, (), problems)


def _yaml_files(folder: Path, problems: list[Problem]) -> list[Path]:
    try:
        return sorted(folder.glob("*.yaml"))
    except (OSError, ValueError) as error:
        problems.append(Problem(str(folder), f"cannot be searched ({error}); choose another data.folder"))
        return []


def _add(
    entries: dict[str, DatasetEntry],
    name: str,
    value: object,
    document: Document,
    place: Place,
    problems: list[Problem],
) -> None:
    try:
        entries[name] = DatasetEntry.model_validate(value)
    except ValidationError as error:
        for inner, text in findings_of(error, DatasetEntry).items():
            where = document.where((*place, *inner))
            problems.append(Problem(where, f"{dotted((*place, *inner)) or name}: {text}"))
