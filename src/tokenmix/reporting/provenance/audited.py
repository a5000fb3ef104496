"""The record of a study's last audit, and how the paper tells of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmix.files import read_json
from tokenmix.reporting.inputs import Study


def record_file(study: Study) -> Path:
    """Where the outcome of the last audit is kept."""
    return study.folder / "audit.json"


@dataclass(frozen=True)
class Outcome:
    """How many of the picked cells the last audit reproduced, and the seed that picked them."""

    reproduced: int
    picked: int
    seed: int


def outcome(study: Study) -> Outcome | None:
    """The last audit, of which only runs count that are still the study's; None where there was none."""
    path = record_file(study)
    record: dict[str, Any] = read_json(path) if path.is_file() else {}
    picked = [run for run in record.get("picked", ()) if run in study.index["runs"]]
    if not picked:
        return None
    reproduced = sum(entry["reproduced"] for entry in record["runs"] if entry["run"] in picked)
    return Outcome(reproduced, len(picked), record["seed"])


def words(found: Outcome | None) -> str:
    """`reproduced 3 of 3 cells (seed 0)`, for the colophon."""
    return f"reproduced {found.reproduced} of {found.picked} cells (seed {found.seed})" if found else "not audited"
