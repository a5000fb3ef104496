"""Small valid files, as stages write them, for targets to damage."""

from pathlib import Path
from typing import Any

CELL = {
    "dataset": "d-8", "model": "xs-tttt-conv3", "init": "scratch", "metric": "auc", "mean": "0.5", "std": "0.1",
    "low": "0.4", "high": "0.6", "seeds": "1", "cases": "4", "runs": "a;b", "status": "finished", "mark": "",
}  # fmt: skip
PAIR = {"metric": "auc", "model_a": "x", "model_b": "y", "init_a": "scratch",
        "init_b": "scratch", "difference": "0.1", "low": "0", "high": "0.2",
        "significant": "0"}  # fmt: skip
VALUES: dict[str, Any] = {
    "auc/d-8/x": {
        "value": 0.5, "text": "0.500", "line": "cell:auc", "how": "mean over seeds", "rule": "evaluate",
        "unit": "", "n": 4, "runs": ["a"], "config": "config.yaml:3", "format": "score",
        "files": ["metrics/t/d-8.cells.csv"],
    }
}  # fmt: skip


def index(results: Path) -> dict[str, Any]:
    """The index of a study of one table."""
    table = {"caption": "", "datasets": ["d-8"], "metrics": ["auc"], "rows": [["xs-tttt-conv3", "scratch"]]}
    return {
        "study": "s",
        "results": str(results),
        "runs": {},
        "datasets": {"d-8": {"name": "d"}},
        "tables": {"t": table},
    }
