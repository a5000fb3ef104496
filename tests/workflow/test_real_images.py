"""Real images through the workflow: BreastMNIST from a mirror to its metrics, and what goes wrong on the way to it."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from checkout import TINY, Checkout


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Checkout:
    """A checkout whose only mirrors are those of its config."""
    monkeypatch.delenv("TOKENMIX_MIRRORS", raising=False)
    return Checkout(tmp_path)


def study(checkout: Checkout, mirror: Path | None) -> None:
    """The study of seconds on BreastMNIST, which may come from this mirror and from nowhere else."""
    tiny = yaml.safe_load(TINY.replace("size: 16", "size: 28").replace("phantom_tissue", "breastmnist"))
    data = {"offline": True, "mirrors": [str(mirror)] if mirror else []}
    checkout.study("breast", yaml.safe_dump({**tiny, "data": data}))


def refused(checkout: Checkout) -> str:
    """What is told of the preparation of images, which fails."""
    done = checkout.snakemake("--until", "prepare_data", study="breast")
    assert done.returncode != 0 and "Traceback" not in done.stdout
    (log,) = (checkout.folder / "logs/data").glob("breastmnist*.log")
    text = log.read_text()
    assert text.startswith("error: ") and "Traceback" not in text
    assert text.splitlines()[0] in done.stdout, "Snakemake should show why there are no images"
    assert not list(checkout.folder.glob("data/breastmnist-*"))
    return text


def test_from_a_mirror_to_the_metrics(checkout, real_data):
    study(checkout, real_data)
    done = checkout.snakemake("--until", "evaluate", study="breast")
    assert done.returncode == 0, done.stdout[-4000:]
    (card,) = (checkout.folder / "data").glob("breastmnist-28.*/card.json")
    about = json.loads(card.read_text())
    assert about["n"] == {"train": 546, "val": 78, "test": 156} and about["licence"] == "CC BY 4.0"
    assert about["source"]["md5"] == "750601b1f35ba3300ea97c75c52ff8f6"
    with (checkout.folder / "results/breast/metrics/classification_4t/breastmnist-28.csv").open() as file:
        rows = list(csv.DictReader(file))
    areas = {row["model"]: float(row["value"]) for row in rows if row["metric"] == "auc"}
    assert areas.keys() == {"xs-tttt-pooling3", "xs-tttt-identity"} and {row["n"] for row in rows} == {"156"}
    # a dozen steps learn something of real images already
    assert all(0.55 < area < 1 for area in areas.values()), areas


def test_without_a_mirror_and_offline(checkout):
    study(checkout, None)
    message = refused(checkout)
    assert "offline" in message and "zenodo.org" in message and "750601b1f35ba3300ea97c75c52ff8f6" in message


def test_a_truncated_archive_in_the_mirror(checkout, real_data, tmp_path_factory):
    mirror = tmp_path_factory.mktemp("mirror")
    whole = next(real_data.rglob("breastmnist.npz")).read_bytes()
    (mirror / "breastmnist.npz").write_bytes(whole[:-1000])
    study(checkout, mirror)
    assert f"{mirror}/breastmnist.npz has that name but another checksum" in refused(checkout)
