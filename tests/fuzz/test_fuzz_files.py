"""Whatever stands in the files that stages hand each other: it is read, or there is one message."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_files import CELL, PAIR, VALUES, index
from hypothesis import strategies as st
from mutations import altered, damaged

from tokenmix.cli import main
from tokenmix.data.batches import open_prepared
from tokenmix.errors import UserError
from tokenmix.evaluation.metrics import Scorer
from tokenmix.evaluation.predictions import check_attestation, read_predictions
from tokenmix.files import read_json
from tokenmix.reporting.inputs import Study
from tokenmix.reporting.registry import Registry
from tokenmix.training.state import HEADER, MAGIC, StateSlots, _digest


def told(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, or None where it gives one message."""
    try:
        return function(*arguments)
    except UserError as error:
        assert str(error).strip()
        return None


def as_json(tree: Any) -> bytes:
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def test_values(fuzz, tmp_path):
    path = tmp_path / "values.json"
    path.write_bytes(as_json(VALUES))
    assert Registry.read(path).as_json() == VALUES
    deep = (b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"NaN", b"\xff")

    def check(content):
        path.write_bytes(content)
        registry = told(Registry.read, path)
        if registry is not None:
            assert registry.as_tex(phantoms=False).startswith("%")
            assert Registry(registry.values).as_json() == registry.as_json()

    fuzz(check, altered(VALUES).map(as_json) | damaged([as_json(VALUES)]) | st.sampled_from(deep))


def test_metrics_of_a_study(fuzz, tmp_path):
    plan = tmp_path / "results" / "plan" / "s.00000000.json"
    folder = tmp_path / "results" / "s" / "metrics" / "t"
    for parent in (plan.parent, folder):
        parent.mkdir(parents=True)
    plan.write_bytes(as_json(index(tmp_path / "results")))

    def rows(row: dict[str, str]) -> bytes:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(row))
        writer.writeheader()
        writer.writerow(row)
        return text.getvalue().encode()

    def read(study: Study) -> int:
        (table,) = study.tables.values()
        values = study.seed_values(table, "d-8", "auc")
        return len(study.cells_of(table)) + len(study.pairs_of(table)) + len(values)

    files = {"d-8.cells.csv": rows(CELL), "d-8.pairs.csv": rows(PAIR), "d-8.csv": b"run,metric,value\na,auc,0.5\n"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    assert read(Study.open(plan)) == 4

    def check(name, content):
        (folder / name).write_bytes(content)
        told(read, Study.open(plan))
        (folder / name).write_bytes(files[name])

    fuzz(check, st.sampled_from(list(files)), damaged(list(files.values())))


def test_predictions_and_attestations(fuzz, tmp_path):
    arrays = {"test_scores": np.full((4, 2), 0.5, np.float32), "test_labels": np.array([0, 1, 0, 1])}
    originals = []
    for save in (np.savez, np.savez_compressed):
        content = io.BytesIO()
        save(content, **arrays)
        originals.append(content.getvalue())
    content = io.BytesIO()
    np.save(content, arrays["test_scores"])
    originals.append(content.getvalue())
    plan = {"run": "r", "spec": {"seed": 0, "training": {"lr": 1}}, "data": {"hash": "d"}, "code": {"hash": "c"}}
    attested = {
        "run": "r",
        "spec": plan["spec"],
        "hashes": {"data": "d", "code": "c"},
        "status": "finished",
        "mark": "",
    }
    path, attestation = tmp_path / "predictions.npz", tmp_path / "run.json"

    def read() -> Any:
        content = read_json(attestation)
        check_attestation(content, plan, tmp_path)
        return read_predictions(path, content)

    def write(content: bytes, tree: Any) -> None:
        path.write_bytes(content)
        attestation.write_bytes(as_json(tree))

    def outputs(content: bytes) -> dict[str, Any]:
        return {"outputs": {path.name: hashlib.sha256(content).hexdigest()}}

    write(originals[0], attested | outputs(originals[0]))
    assert read()[0].shape == (4, 2)

    def check(content, tree):
        write(content, {**tree, **outputs(content)} if isinstance(tree, dict) else tree)
        found = told(read)
        if found is not None:
            try:
                Scorer(*found, "binary")
            except ValueError as error:  # `load_runs` names the file
                assert str(error)

    fuzz(check, damaged(originals), st.just(attested) | altered(attested))


def test_the_state_of_a_training(fuzz, tmp_path, capsys):
    slots = StateSlots(tmp_path)
    for number in range(2):
        slots.save({"step": number, "weights": torch.arange(6.0)})
    states = [path.read_bytes() for path in slots.paths]

    def signed(content: bytes) -> bytes:
        """The slot with a checksum that fits, as a program with another idea of a state would write it."""
        number, payload = content[len(MAGIC) : len(MAGIC) + 8], memoryview(content[HEADER:])
        return MAGIC + number + _digest(number, payload) + payload

    def check(content, with_checksum, other):
        first, second = slots.paths[other], slots.paths[1 - other]
        first.write_bytes(signed(content) if with_checksum else content)
        second.write_bytes(states[1 - other])
        state = StateSlots(tmp_path).load()
        assert isinstance(state, dict)  # the other slot is whole
        capsys.readouterr()

    fuzz(check, damaged(states), st.booleans(), st.sampled_from((0, 1)))


def test_prepared_arrays(fuzz, tmp_path):
    card = {"size": 2, "dimensions": 2, "channels": 1, "n": {"train": 3, "val": 2, "test": 1}}
    files = {"card.json": as_json(card)}
    for split, number in card["n"].items():
        for kind, array in (("images", np.zeros((number, 2, 2, 1), np.uint8)), ("labels", np.zeros(number, np.int64))):
            content = io.BytesIO()
            np.save(content, array)
            files[f"{split}_{kind}.npy"] = content.getvalue()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert open_prepared(tmp_path).card == card

    def check(name, content):
        (tmp_path / name).write_bytes(content)
        told(open_prepared, tmp_path)
        (tmp_path / name).write_bytes(files[name])

    arrays = [content for name, content in files.items() if name != "card.json"]
    fuzz(check, st.sampled_from([name for name in files if name != "card.json"]), damaged(arrays))


@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b'"text"', b"{}", b"%PDF-", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "--dataset", "a-28", "--out", "out"],
        ["rank", "--table", "a", "--out", "out"],
        ["switches", "--out", "out.csv"],
        ["profile", "--out", "out"],
        ["report", "values"],
    ],
    ids=lambda command: command[0],
)
def test_an_index_that_is_none(tmp_path: Path, content: bytes, command: list[str], capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("index.json").write_bytes(content)
    assert main([*command, "--plan", "index.json"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: index.json is no study index") and "delete" not in message
    assert list(tmp_path.iterdir()) == [tmp_path / "index.json"]
