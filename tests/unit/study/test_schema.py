"""The JSON schema by which editors check the config."""

import json
from pathlib import Path

import pytest

from tokenmix.cli import main
from tokenmix.study.schema import config_schema
from tokenmix.study.yaml_lines import read_yaml

ROOT = Path(__file__).resolve().parents[3]


def test_the_schema_is_not_older_than_the_types() -> None:
    assert json.loads((ROOT / "config.schema.json").read_text()) == config_schema(), "run `tokenmix schema`"


def test_the_command_writes_the_committed_file(tmp_path: Path) -> None:
    assert main(["schema", "--out", str(tmp_path / "schema.json")]) == 0
    assert (tmp_path / "schema.json").read_bytes() == (ROOT / "config.schema.json").read_bytes()


def test_every_setting_is_described() -> None:
    schema = config_schema()
    for name, section in [("config", schema), *schema["$defs"].items()]:
        assert section["additionalProperties"] is False, name
        for key, setting in section["properties"].items():
            assert setting.get("description"), f"{name}.{key}"


@pytest.mark.parametrize(
    "file", ["config.yaml", *(f"workflow/studies/{s}.yaml" for s in ("breastmnist", "demo", "folder", "mini"))]
)
def test_our_own_files_satisfy_the_schema(file: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    value = read_yaml(ROOT / file, file).value
    jsonschema.Draft202012Validator(config_schema()).validate(value)


@pytest.mark.parametrize(
    "wrong", [{"trainin": {}}, {"training": {"lr": "x"}}, {"tables": {"t": {"mixers": {"conv": [4]}}}}]
)
def test_the_schema_refuses_mistakes(wrong: dict) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(config_schema()).validate(wrong)
