"""The typed view of `data/checkpoints.yaml`: published weights that models can start from."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tokenmix.study.yaml_lines import read_yaml

CHECKPOINTS = Path(__file__).resolve().parent.parent / "data" / "checkpoints.yaml"


class Checkpoint(BaseModel):
    """One file of weights and how to recognise it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    title: str = Field(min_length=1)
    url: str = Field(pattern=r"^https?://[^\s]+$", description="address; https except on this computer")
    file: str = Field(pattern=r"^[\w.-]+$", description="name in the cache and in mirror folders")
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{8,64})?$", description="SHA-256 in hex, or its first digits")
    licence: str
    cite: str


def load_checkpoints(path: Path = CHECKPOINTS) -> dict[str, Checkpoint]:
    """Checkpoint -> what is known of it before it is fetched."""
    return TypeAdapter(dict[str, Checkpoint]).validate_python(read_yaml(path, path.name).value)


def weights_file(data_folder: str, name: str) -> str:
    """Where the converted weights of a checkpoint lie, below the data folder."""
    return f"{data_folder}/weights/{name}.safetensors"
