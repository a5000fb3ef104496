"""Finished artefacts on their way to their declared names."""

from pathlib import Path

import pytest

from tokenmix.errors import UserError
from tokenmix.training import store as module
from tokenmix.training.store import OUTPUTS, Store


def finished(results: Path) -> Store:
    store = Store(results, "run")
    store.folder.mkdir(parents=True)
    store.finish({name: store.keep(name, f"content of {name}".encode()) for name in OUTPUTS})
    return store


def published(store: Store) -> dict[str, str]:
    return {path.name: path.read_text() for path in store.published.iterdir()}


def test_an_interrupted_publication_leaves_no_attestation(tmp_path: Path) -> None:
    store = finished(tmp_path)
    store.published.mkdir(parents=True)
    (store.published / "run.json").write_text("of an earlier attempt")
    (store.folder / "predictions.npz").rename(tmp_path / "aside")
    with pytest.raises(UserError, match="will only be published"):
        store.publish()
    assert sorted(published(store)) == ["history.csv", "model.safetensors"]
    (tmp_path / "aside").rename(store.folder / "predictions.npz")
    store.publish()
    store.publish()  # once more onto its own links
    assert published(store) == {name: f"content of {name}" for name in OUTPUTS}


def test_another_file_system_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    store = finished(tmp_path)
    monkeypatch.setattr(module.os, "link", refuse)
    store.publish()
    assert published(store) == {name: f"content of {name}" for name in OUTPUTS}
    assert not (store.published / "run.json").samefile(store.folder / "run.json")


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_artefact_counts(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = finished(tmp_path)
    assert store.is_finished()
    (store.folder / name).write_text("changed")
    assert not store.is_finished() and name in capsys.readouterr().err
    assert not store.is_finished()


def test_a_damaged_receipt_is_not_believed(tmp_path: Path) -> None:
    store = finished(tmp_path)
    (store.folder / "finished.json").write_text("{")
    assert not store.is_finished()
