"""Reading a study index that somebody named on a command line."""

import json
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError

#: what every index has
SECTIONS = ("study", "results", "runs", "datasets", "tables")


def read_index(path: Path) -> dict[str, Any]:
    """The index `<results>/plan/<study>.<hash8>.json`; raises UserError where the file is none."""
    try:
        index = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; {_REMEDY}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no study index ({error}); {_REMEDY}") from error
    missing = [name for name in SECTIONS if not isinstance(index, dict) or name not in index]
    if missing:
        raise UserError(f"{path} is no study index: no {', '.join(missing)}; {_REMEDY}")
    return index


_REMEDY = "give the index that the plan wrote, results/plan/<study>.<hash>.json"
