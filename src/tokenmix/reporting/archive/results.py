"""The archive of a finished study: a zip file that looks like a checkout, with checksums and an RO-Crate inside.

It holds what every number of the paper can be computed from again without training: predictions, histories and
attestations of all runs with the code that trained them, data cards, metrics, profiles, values, the PDF, and the
project's own sources. Weights stay at home; their checksums stand in the attestations.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from tokenmix.errors import UserError
from tokenmix.reporting.archive import crate
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.provenance.integrity import run_problems
from tokenmix.study.plan import data_file, stage_file

#: lines of `<sha256>  <path>`, for `sha256sum --check` as well
MANIFEST = "manifest-sha256.txt"
#: what of a run is archived
ARTEFACTS = ("run.json", "predictions.npz", "history.csv")
#: the project itself, as it was when it made the paper
PROJECT = (
    *("Snakefile", "Makefile", "pyproject.toml", "config.yaml", "CITATION.cff", "LICENSE", "README.md"),
    *("envs", "paper", "profiles", "src", "workflow"),
)
_LEFT_OUT = ("__pycache__", ".egg-info")
#: of broken runs, how many one message shows
_SHOWN = 10


def write(study: Study, root: Path, out: Path) -> int:
    """Pack the study into the zip file `out`; the same files give the same bytes. Returns how many files it holds.

    root: the project's folder. Raises UserError where a run is missing or is not what its attestation says.
    """
    problems = [problem for run in study.index["runs"] for problem in run_problems(study, run)]
    if problems:
        raise UserError("\n  ".join(["the study cannot be archived:", *problems[:_SHOWN]]))
    files = dict(sorted({**dict(_project(root)), **dict(_results(study)), **dict(_data(study, root))}.items()))
    for path in (study.folder / "paper.pdf", *files.values()):
        if not path.is_file():
            raise UserError(f"{path} is missing; finish the study first: make paper STUDY={study.name}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _pack(study, root, files, out)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; free some space or choose another folder") from error
    return len(files)


def _pack(study: Study, root: Path, files: Mapping[str, Path], out: Path) -> None:
    folders = {f"{folder}/" for name in files for folder in PurePosixPath(name).parents if folder.name}
    checksums = {}
    with zipfile.ZipFile(out, "w") as archive:
        for folder in sorted(folders):
            _add(archive, folder, b"")
        for name, path in files.items():
            checksums[name] = _add_file(archive, name, path)
        described = crate.describe(study, root, checksums, {name: path.stat().st_size for name, path in files.items()})
        checksums[crate.METADATA] = _add(archive, crate.METADATA, described.encode())
        _add(archive, MANIFEST, "".join(f"{sha}  {name}\n" for name, sha in sorted(checksums.items())).encode())


def _project(root: Path) -> Iterator[tuple[str, Path]]:
    for name in PROJECT:
        paths = sorted((root / name).rglob("*")) if (root / name).is_dir() else [root / name]
        for path in paths:
            inside = path.relative_to(root)
            if path.is_file() and not any(part.endswith(_LEFT_OUT) for part in inside.parts):
                yield inside.as_posix(), path


def _results(study: Study) -> Iterator[tuple[str, Path]]:
    results, runs = study.results, study.index["runs"]
    wanted = [results / "plan" / study.path.name]
    for run in runs:
        wanted += [results / "runs" / run / name for name in ARTEFACTS]
        wanted += [results / "plan" / f"{run}.json", results / "benchmarks" / "train" / f"{run}.jsonl"]
    for folder in sorted({Path(entry["code_folder"]).name for entry in runs.values()}):
        wanted += [path for path in (results / "code" / folder).rglob("*") if "__pycache__" not in path.parts]
    for data in study.datasets.values():
        wanted.append(data_file(results, data["name"], data["size"], data["hash"]))
    wanted += [stage_file(results, code) for code in study.index["code"].values()]
    for folder in ("metrics", "profile", "paper/tables"):
        wanted += (study.folder / folder).rglob("*.csv")
    wanted += (study.folder / "metrics").rglob("*.sha256")
    wanted += [study.folder / name for name in ("audit.json", "paper/values.json", "paper/claims.json")]
    wanted += [study.folder / name for name in ("paper.pdf", "report.html")]
    for path in wanted:
        if path.is_file():
            yield f"results/{path.relative_to(results).as_posix()}", path


def _data(study: Study, root: Path) -> Iterator[tuple[str, Path]]:
    for data in study.datasets.values():
        folder = root / data["folder"]
        yield f"data/{folder.name}/card.json", folder / "card.json"
        registered = folder.parent / "registered" / f"{data['name']}.yaml"
        if registered.is_file():
            yield f"data/registered/{registered.name}", registered


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # of 1980, as all entries are
    entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, mode << 16
    return entry


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> str:
    archive.writestr(_entry(name, 0o755 if name.endswith("/") else 0o644), content)
    return hashlib.sha256(content).hexdigest()


def _add_file(archive: zipfile.ZipFile, name: str, path: Path) -> str:
    checksum, status = hashlib.sha256(), path.stat()
    entry = _entry(name, 0o755 if status.st_mode & 0o100 else 0o644)
    entry.file_size = status.st_size
    with path.open("rb") as source, archive.open(entry, "w") as target:
        while block := source.read(1 << 20):
            checksum.update(block)
            target.write(block)
    return checksum.hexdigest()
