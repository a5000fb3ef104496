"""Put the results of an archive where the workflow finds them finished, so that the paper is built without training.

Nothing is extracted by the names in the archive: what this checkout's own plan asks for is copied out of it.
"""

import json
import os
import re
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, TypeVar

from tokenmix.errors import UserError
from tokenmix.files import pretty_json, sha256_file, write_atomic
from tokenmix.reporting.archive.results import ARTEFACTS, MANIFEST
from tokenmix.study.load import STUDY_NAME, load_config, studies
from tokenmix.study.plan import Plan, resolve

Result = TypeVar("Result")

#: bytes of a text that is read whole
LARGEST_TEXT = 1 << 28
#: what is kept of a stage where its code and these parts of the study are as they were
PRODUCTS = {
    "metrics": (("evaluation", "ranking", "switches"), ("evaluation", "tables", "switches")),
    "profile": (("profiling",), ("profile", "model_options")),
}
_INDEX = re.compile(rf"results/plan/({STUDY_NAME.pattern})\.[0-9a-f]{{8}}\.json")
_ATTESTED = ("execution", "git", "outputs")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


class Archive:
    """A results archive whose every file has been held against its checksum. Closed by `with`."""

    def __init__(self, path: Path) -> None:
        """Open and verify; raises UserError that names the first file which is missing, extra or changed."""
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            raise UserError(f"{path} cannot be read as an archive ({error}); get it again") from error
        for entry in self._zip.infolist():
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self.broken(entry.filename, "is packed in a way that archives of this project are not")
        self.sizes = {entry.filename: entry.file_size for entry in self._zip.infolist() if not entry.is_dir()}
        lines = self.text(MANIFEST).splitlines()
        self.checksums = {found[2]: found[1] for line in lines if (found := _LINE.fullmatch(line))}
        for name in sorted(self.sizes.keys() ^ {*self.checksums, MANIFEST}):
            what = "is missing" if name in self.checksums else f"is not listed in {MANIFEST}"
            raise UserError(f"{path} is not the archive that was made: {name} {what}; get it again")
        for name in self.checksums:
            if name.startswith("/") or "\\" in name or ".." in name.split("/"):
                raise self.broken(name, "leads out of the folder that it is unpacked to")
        for name, checksum in self.checksums.items():
            if self._sha256(name) != checksum:
                raise self.broken(name, "was changed after the archive was made")

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def text(self, name: str) -> str:
        """A file of text; raises UserError where there is none."""
        if self.sizes.get(name, LARGEST_TEXT) >= LARGEST_TEXT:
            raise self.broken(name, "is missing or too large")
        return self._read(name, lambda stream: stream.read().decode())

    def object(self, name: str) -> dict[str, Any]:
        """A JSON object; raises UserError where the file holds none."""
        try:
            found = json.loads(self.text(name))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self.broken(name, "holds no JSON object")
        return found

    def copy(self, name: str, target: Path, when: float) -> None:
        """Copy a file out, in one step to all who look; its time is `when`."""
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                self._read(name, lambda stream: shutil.copyfileobj(stream, file))
            os.utime(temporary, (when, when))
            temporary.replace(target)
        except OSError as error:
            raise UserError(f"cannot write {target}: {error.strerror}; free some space or mend its folder") from error
        finally:
            temporary.unlink(missing_ok=True)

    def broken(self, name: str, what: str) -> UserError:
        """The error that names a file of the archive."""
        return UserError(f"{self.path} cannot be trusted: {name} {what}; get the archive again from its source")

    def _sha256(self, name: str) -> str:
        checksum = sha256()

        def feed(stream: IO[bytes]) -> None:
            while block := stream.read(1 << 20):
                checksum.update(block)

        self._read(name, feed)
        return checksum.hexdigest()

    def _read(self, name: str, use: Callable[[IO[bytes]], Result]) -> Result:
        try:
            with self._zip.open(name) as stream:
                return use(stream)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            UnicodeDecodeError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise self.broken(name, f"cannot be read ({error})") from error


def restore(path: Path, root: Path) -> tuple[str, list[str]]:
    """Copy runs, data cards and, where the code that made them is the same, metrics and profiles into this checkout.

    root: the project's folder. Returns the study's name and what is to be computed again, with the reason. What the
    checkout already has of runs and cards is kept. Raises UserError where the archive is damaged, where its runs are
    not those that the code and settings of this checkout would train, and where a run differs from the one here.
    """
    with Archive(path) as archive:
        index, attested = _study(archive)
        plan = _plan(archive, index["study"], attested, root)
        needed, free = sum(archive.sizes.values()), shutil.disk_usage(root).free
        if needed > free:
            raise UserError(f"{path} unpacks to {needed:,} bytes and {free:,} are free; free some space")
        when = time.time()
        for name, target in _lasting(archive, plan, root):
            if not target.exists():
                archive.copy(name, target, when)
        for run in plan.runs:
            _finish(archive, plan, run, attested[run])
        return index["study"], list(_restore_products(archive, plan, index, when))


def _study(archive: Archive) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The study's index, and the attestation of each of its runs, whose files are those that it attests."""
    found = next(filter(None, map(_INDEX.fullmatch, archive.checksums)), None)
    if found is None:
        raise UserError(f"{archive.path} is no archive of a study: it holds no plan; give what `make archive` wrote")
    index = archive.object(found[0])
    if index.get("study") != found[1] or not all(isinstance(index.get(part), dict) for part in ("runs", "code")):
        raise archive.broken(found[0], "is no index of a study")
    attested = {}
    for run in index["runs"]:
        name = f"results/runs/{run}/run.json"
        record = attested[run] = archive.object(name)
        if record.get("run") != run or not all(isinstance(record.get(part), dict) for part in _ATTESTED):
            raise archive.broken(name, "is not the attestation of this run")
        for artefact in ARTEFACTS[1:]:
            file = f"results/runs/{run}/{artefact}"
            if archive.checksums.get(file) != record["outputs"].get(artefact):
                raise archive.broken(file, "is not the file that its run.json attests")
    return index, attested


def _plan(archive: Archive, study: str, attested: Mapping[str, Any], root: Path) -> Plan:
    """This checkout's plan of the study, if the archive holds all of its runs; else an error that says where to go."""
    git = max(attested.values(), key=lambda run: str(run["execution"].get("ended")))["git"]
    commit = f"check out commit {git.get('commit')} and build there" if git.get("commit") else "use the code of then"
    if git.get("dirty"):
        commit = f"it was made from commit {git.get('commit')} after edits that were not committed"
    inside = (
        f"{commit}; or use the sources in the archive: unzip {archive.path} -d FOLDER, and there "
        f"make paper FROM={archive.path.resolve()}"
    )
    if study not in studies(root):
        raise UserError(f"this checkout has no study {study}, of which {archive.path} holds the results; {inside}")
    config = load_config(root, study)
    for name in archive.checksums:
        registered = re.fullmatch(r"data/registered/([^/\\]+\.yaml)", name)
        if registered and not (target := root / config.data.folder / "registered" / registered[1]).exists():
            write_atomic(target, archive.text(name))
            config = load_config(root, study)
    plan = resolve(config, root)
    others = [run for run in plan.runs if run not in attested]
    if others:
        raise UserError(
            f"{archive.path} was made by other code or settings than this checkout's: it lacks {len(others)} of "
            f"{len(plan.runs)} runs of the study {study}, for example {others[0]}; {inside}"
        )
    return plan


def _lasting(archive: Archive, plan: Plan, root: Path) -> Iterator[tuple[str, Path]]:
    """(file of the archive, where it belongs) for runs and data cards: what no code of later stages changes.

    Raises UserError where this checkout has another result under the name of a run.
    """
    for data in plan.content["datasets"].values():
        yield f"data/{Path(data['folder']).name}/card.json", root / data["folder"] / "card.json"
    for run in plan.runs:
        for artefact in ARTEFACTS:
            name, target = f"results/runs/{run}/{artefact}", plan.results / "runs" / run / artefact
            if target.is_file() and sha256_file(target) != archive.checksums[name]:
                raise UserError(
                    f"{target} differs from {name} in {archive.path}: this run was trained here as well; restore the "
                    "archive in a fresh checkout"
                )
            yield name, target
    beside = (f"benchmarks/train/{run}.jsonl" for run in plan.runs)
    for file in (*beside, f"{plan.content['study']}/audit.json"):
        if f"results/{file}" in archive.checksums:
            yield f"results/{file}", plan.results / file


def _finish(archive: Archive, plan: Plan, run: str, attested: Mapping[str, Any]) -> None:
    """Declare a run finished, as its training did; the workflow then neither trains nor publishes it."""
    receipt = plan.results / "store" / run / "finished.json"
    if not receipt.exists():
        checksums = {**attested["outputs"], "run.json": archive.checksums[f"results/runs/{run}/run.json"]}
        write_atomic(receipt, pretty_json(checksums))


def _restore_products(archive: Archive, plan: Plan, index: Mapping[str, Any], when: float) -> Iterator[str]:
    """Copy metrics and profiles out; those that this checkout would make otherwise are left and named, with why."""
    study, now = plan.content["study"], json.loads(json.dumps(plan.content))
    for product, (stages, settings) in PRODUCTS.items():
        changed = [f"the code of {stage}" for stage in stages if index["code"].get(stage) != now["code"][stage]]
        changed += [f"`{part}`" for part in settings if index.get(part) != now[part]]
        if changed:
            yield f"{product}: {' and '.join(changed)} changed"
            continue
        inside = f"results/{study}/{product}/"
        for name in archive.checksums:
            if name.startswith(inside):
                archive.copy(name, plan.results / name.removeprefix("results/"), when)
