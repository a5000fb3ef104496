"""Reading the runs of one data set, and refusing what is not the outcome of the frozen plan."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tokenmix.errors import UserError
from tokenmix.evaluation.metrics import Scorer
from tokenmix.files import read_json, read_json_and_checksum
from tokenmix.study.index_file import read_index

#: bytes that the scores of one test split may unpack to
LARGEST_ARRAY = 4 << 30


@dataclass(frozen=True)
class EvaluatedRun:
    """A finished run of one data set: who it is, how it ended, and the scorer of its test predictions.

    attestation: SHA-256 of its run.json, in hex.
    """

    run: str
    model: str
    init: str
    seed: int
    status: str
    mark: str
    attestation: str
    scorer: Scorer


@dataclass(frozen=True)
class DatasetRuns:
    """All runs of one data set, ordered by cell and seed; every one predicts the same `cases`."""

    dataset: str
    task: str
    cases: int
    runs: list[EvaluatedRun]


def load_runs(index_path: Path, dataset: str, table: str | None = None) -> DatasetRuns:
    """Read the test predictions of a study's runs of `dataset` ("breastmnist-28"), or of one table's only.

    `index_path` is the study index in the plan folder; results lie beside that folder. The task comes from
    the data card. Raises UserError for an unknown data set, an attestation that differs from the plan,
    changed or broken predictions, and runs that did not predict the same cases.
    """
    index = read_index(index_path)
    if dataset not in index["datasets"]:
        known = ", ".join(sorted(index["datasets"]))
        raise UserError(f"the study has no data set {dataset!r}; {index_path}; choose one of: {known}")
    task = read_json(Path(index["datasets"][dataset]["folder"]) / "card.json")["task"]
    plans = index_path.parent
    chosen = {
        name: cell
        for name, cell in index["runs"].items()
        if f"{cell['dataset']}-{cell['size']}" == dataset and (table is None or table in cell["tables"])
    }
    if not chosen:
        shown = f"table {table!r}" if table else "study"
        raise UserError(
            f"the {shown} has no run of {dataset}; {index_path}; name the data set in the table's `datasets`"
        )
    runs: list[EvaluatedRun] = []
    first: tuple[str, np.ndarray] | None = None
    for name in sorted(chosen, key=lambda name: tuple(chosen[name][part] for part in ("model", "init", "seed"))):
        folder = plans.parent / "runs" / name
        path = folder / "run.json"
        attestation, checksum = read_json_and_checksum(path)
        check_attestation(attestation, read_json(plans / f"{name}.json"), folder)
        scores, labels = read_predictions(folder / "predictions.npz", attestation)
        if first is None:
            first = name, labels
        elif labels.shape != first[1].shape or not np.array_equal(labels, first[1]):
            raise UserError(
                f"{name} and {first[0]} did not predict the same test cases (labels {labels.shape} and "
                f"{first[1].shape}); {folder}; remove the older of both runs so that it is trained again"
            )
        try:
            scorer = Scorer(scores, labels, task)
        except ValueError as error:
            raise _broken(folder / "predictions.npz", str(error)) from error
        cell = chosen[name]
        status, mark = attestation["status"], attestation["mark"]
        runs.append(EvaluatedRun(name, cell["model"], cell["init"], cell["seed"], status, mark, checksum, scorer))
    assert first is not None
    return DatasetRuns(dataset, task, len(first[1]), runs)


def check_attestation(attestation: Mapping[str, Any], plan: Mapping[str, Any], folder: Path) -> None:
    """Refuse a run.json that was not made from this plan: run, spec, data and code must be the same."""
    try:
        hashes = attestation["hashes"]
        pairs = {
            "run": (attestation["run"], plan["run"]),
            "data": (hashes["data"], plan["data"]["hash"]),
            "code": (hashes["code"], plan["code"]["hash"]),
        }
        different = [name for name, (attested, planned) in pairs.items() if attested != planned]
        different += _contradictions(attestation["spec"], plan["spec"])
        different += [name for name in ("status", "mark") if not isinstance(attestation[name], str)]
        different += [] if isinstance(attestation["outputs"], Mapping) else ["outputs"]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"run.json or its plan is not complete ({error!r}); {folder}; "
            "remove that folder so that the run is trained again"
        ) from error
    if different:
        raise UserError(
            f"run.json was not made from the plan: {', '.join(different)} differ; {folder}; "
            "remove that folder so that the run is trained again"
        )


def _contradictions(attested: Mapping[str, Any], planned: Mapping[str, Any], path: str = "spec") -> list[str]:
    """Fields that both specs have with different values.

    A field that only one of them has is new to the other, which did what its neutral value means; whether
    that is so is settled by the hash in the run's name.
    """
    found: list[str] = []
    for name in sorted(attested.keys() & planned.keys()):
        ours, theirs = attested[name], planned[name]
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            found += _contradictions(ours, theirs, f"{path}.{name}")
        elif ours != theirs:
            found.append(f"{path}.{name}")
    return found


def read_predictions(path: Path, attestation: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Test scores (N, K) and labels of a run, read once and compared with the checksum in its attestation."""
    try:
        content = path.read_bytes()
    except OSError as error:
        name = path.parent.name
        raise UserError(f"{path} cannot be read ({error.strerror}); run the training of {name}") from error
    if sha256(content).hexdigest() != attestation["outputs"].get(path.name):
        raise _broken(path, "it is not the file that run.json attests")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            scores, labels = (_array(archive, f"{name}.npy") for name in ("test_scores", "test_labels"))
    except Exception as error:  # zipfile and numpy fail in many ways, depending on which byte is wrong
        raise _broken(path, f"test_scores and test_labels cannot be read ({error})") from error
    if not np.issubdtype(scores.dtype, np.floating) or not np.issubdtype(labels.dtype, np.integer):
        raise _broken(path, f"scores are of type {scores.dtype} and labels of type {labels.dtype}")
    return scores, labels


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    if archive.getinfo(name).file_size > LARGEST_ARRAY:
        raise ValueError(f"{name} would unpack to more than {LARGEST_ARRAY} bytes")
    with archive.open(name) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _broken(path: Path, what: str) -> UserError:
    return UserError(f"predictions cannot be used: {what}; {path}; remove its folder so that the run is made again")
