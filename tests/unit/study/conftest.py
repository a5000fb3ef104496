"""A small study on a copy of the package, for tests that edit code and config."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tokenmix.files import pretty_json, read_json
from tokenmix.study import code
from tokenmix.study.config import Config
from tokenmix.study.plan import Plan, freeze

PACKAGE = Path(code.__file__).parents[1]

STUDY: dict[str, Any] = {
    "study": "small",
    "seeds": [0],
    "datasets": {"phantom_tissue": {"size": 28}, "breastmnist": {"size": 28}, "imagewoof": {"size": 64}},
    "tables": {
        "first": {
            "scale": "xs",
            "mixers": {"pooling": [3, 5], "conv": [3], "local_attn": [3], "identity": None},
            "baselines": ["resnet18-k3"],
        },
        # shares identity with the first table
        "second": {"scale": "xs", "datasets": ["breastmnist"], "mixers": {"identity": None, "random": None}},
    },
}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    """A folder that holds a copy of the package."""
    folder = tmp_path / "src"
    shutil.copytree(PACKAGE, folder / "tokenmix", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    code.forget()
    yield folder
    code.forget()


@pytest.fixture
def config() -> Config:
    """The small study."""
    return Config.model_validate(STUDY)


@pytest.fixture
def study(source: Path, tmp_path: Path, config: Config) -> Plan:
    """The small study, frozen below tmp_path with the code of the copy."""
    return freeze(config, tmp_path, source)


@pytest.fixture
def finish() -> Callable[[Plan], None]:
    """Leaves behind what training leaves behind of every run of a plan, as far as the plan looks at it."""

    def finish(plan: Plan) -> None:
        for run in plan.runs:
            file = read_json(plan.results / "plan" / f"{run}.json")
            folder = plan.results / "runs" / run
            folder.mkdir(parents=True)
            hashes = {"data": file["data"]["hash"], "code": file["code"]["hash"]}
            attestation = {"run": run, "spec": file["spec"], "hashes": hashes}
            attestation["execution"] = {"ended": "2026-01-01T00:00:00+00:00"}
            (folder / "run.json").write_text(pretty_json(attestation))

    return finish
