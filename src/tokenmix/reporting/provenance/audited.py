"""The record of a study's last audit, and how the paper tells of it."""

from pathlib import Path
from typing import Any

from tokenmix.files import read_json
from tokenmix.reporting.inputs import Study


def record_file(study: Study) -> Path:
    """Where the outcome of the last audit is kept."""
    return study.folder / "audit.json"


def outcome(study: Study) -> tuple[int, int] | None:
    """(cells reproduced, cells picked) of the last audit, of which only runs count that are still the study's."""
    path = record_file(study)
    record: dict[str, Any] = read_json(path) if path.is_file() else {}
    picked = [run for run in record.get("picked", ()) if run in study.index["runs"]]
    if not picked:
        return None
    return sum(entry["reproduced"] for entry in record["runs"] if entry["run"] in picked), len(picked)


def words(found: tuple[int, int] | None) -> str:
    """`reproduced 3 of 3 cells`, for the colophon."""
    return f"reproduced {found[0]} of {found[1]} cells" if found else "not audited"
