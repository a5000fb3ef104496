"""The record of a study's last audit, and how the paper tells of it."""

from dataclasses import dataclass
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.files import read_json
from tokenmix.reporting.inputs import Study


def record_file(study: Study) -> Path:
    """Where the outcome of the last audit is kept."""
    return study.folder / "audit.json"


@dataclass(frozen=True)
class Outcome:
    """How many of the picked cells the last audit compared and reproduced, and the seed that picked them."""

    reproduced: int
    compared: int
    picked: int
    seed: int


def outcome(study: Study) -> Outcome | None:
    """The last audit, of which only runs count that are still the study's; None where there was none.

    Raises UserError where the file is no record of an audit.
    """
    path = record_file(study)
    if not path.is_file():
        return None
    record = read_json(path)
    try:
        picked = [run for run in record["picked"] if run in study.index["runs"]]
        compared = [bool(entry["reproduced"]) for entry in record["runs"] if entry["run"] in picked]
        return Outcome(sum(compared), len(compared), len(picked), int(record["seed"])) if picked else None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is no record of an audit ({error!r}); delete it, or audit again: tokenmix audit K"
        ) from error


def words(found: Outcome | None) -> str:
    """`reproduced 3 of 3 cells (seed 0)`, for the colophon; an audit that has not come to its end says so."""
    if not found:
        return "not audited"
    left = found.picked - found.compared
    unfinished = f", audit unfinished: {left} to come" if left else ""
    return f"reproduced {found.reproduced} of {found.compared} cells (seed {found.seed}){unfinished}"
