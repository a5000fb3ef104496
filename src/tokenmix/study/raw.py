"""What the checks read: the merged, not yet typed config, where every value may have a wrong type."""

from collections.abc import Iterator
from typing import Any

from tokenmix.study.yaml_lines import Place

Finding = tuple[Place, str]


def entries(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The named mappings of a mapping; what was left out (`false`) or has a wrong type is skipped."""
    if isinstance(value, dict):
        for name, entry in value.items():
            if isinstance(name, str) and (entry is None or isinstance(entry, dict)):
                yield name, entry or {}


def listed(value: Any) -> list[Any]:
    """A list as it is; what has a wrong type is empty."""
    return value if isinstance(value, list) else []
