"""Batches: the right images and labels, in [0, 1], channels last, normalised by the training split."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from factories import facts, medmnist_arrays, prepared_phantom, tree, write_npz

from tokenmix.data import batches
from tokenmix.data.publish import publish
from tokenmix.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_phantom(tmp_path_factory.mktemp("data") / "organs", family="phantom_organs", size=20)


def test_a_batch_holds_the_cases_asked_for(folder: Path) -> None:
    data = batches.open_prepared(folder)
    split = batches.DeviceSplit(data, "train", "cpu")
    index = torch.tensor([5, 0, 5])
    x, labels = split.batch(index)
    stored = np.load(folder / "train_images.npy")[[5, 0, 5]]
    assert len(split) == 32 and x.shape == (3, 3, 20, 20) and x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert np.allclose(x.permute(0, 2, 3, 1).numpy(), stored / 255.0, atol=1e-7)
    assert labels.tolist() == np.load(folder / "train_labels.npy")[[5, 0, 5]].tolist()


def test_arrays_are_mapped_and_what_is_done_to_them_leaves_the_files_alone(folder: Path) -> None:
    before = tree(folder)
    data = batches.open_prepared(folder)
    arrays = [*data.images.values(), *data.labels.values()]
    assert len(arrays) == 6 and all(isinstance(array, np.memmap) for array in arrays)
    for array in arrays:
        array[:] = 1
    assert tree(folder) == before


def test_the_training_split_is_standardised_by_its_own_figures(folder: Path) -> None:
    data = batches.open_prepared(folder)
    x, _ = batches.DeviceSplit(data, "train", "cpu").batch(torch.arange(32))
    z = batches.normalise(x, data.card).double()
    assert z.is_contiguous(memory_format=torch.channels_last)
    assert z.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (z.std(dim=(0, 2, 3), correction=0) - 1).abs().max() < 1e-5


def test_a_channel_that_never_varies_is_only_centred() -> None:
    x = torch.full((2, 1, 4, 4), 0.5)
    assert torch.equal(batches.normalise(x, {"mean": [0.5], "std": [0.0]}), torch.zeros_like(x))


def test_using_data_leaves_the_files_alone(folder: Path) -> None:
    before = tree(folder)
    data = batches.open_prepared(folder)
    split = batches.DeviceSplit(data, "val", "cpu")
    split.batch(torch.arange(3))[0].add_(1)
    data.images["val"][:] = 0
    assert tree(folder) == before


@pytest.mark.parametrize(("task", "dimensions"), [("multi-label", 2), ("binary", 3)])
def test_labels_and_volumes_keep_their_shapes(tmp_path: Path, task: str, dimensions: int) -> None:
    about = facts(task=task, dimensions=dimensions, classes=("a", "b"))
    publish("medmnist", write_npz(tmp_path / "tiny.npz", medmnist_arrays(about)), about, tmp_path / "out")
    x, labels = batches.DeviceSplit(batches.open_prepared(tmp_path / "out"), "test", "cpu").batch(torch.arange(4))
    assert x.shape == (4, 1, *(8,) * dimensions)
    assert labels.shape == ((4, 2) if task == "multi-label" else (4,))
    assert labels.dtype == (torch.uint8 if task == "multi-label" else torch.int64)


def test_what_is_missing_or_unfit_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"card\.json is missing"):
        batches.open_prepared(tmp_path)
    out = prepared_phantom(tmp_path / "out", size=16)
    (out / "val_labels.npy").write_bytes((out / "val_labels.npy").read_bytes()[:-8])
    with pytest.raises(UserError, match=r"val_labels\.npy cannot be read"):
        batches.open_prepared(out)
    prepared_phantom(out, size=16)
    card = json.loads((out / "card.json").read_text())
    (out / "card.json").write_text(json.dumps(card | {"size": 17}))
    with pytest.raises(UserError, match=r"do not fit its card\.json"):
        batches.open_prepared(out)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("share", [0.5, 0.0])
def test_on_a_gpu_the_batch_is_the_same_whether_the_split_fits_or_not(
    folder: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "DEVICE_SHARE", share)
    data = batches.open_prepared(folder)
    split = batches.DeviceSplit(data, "train", "cuda")
    assert split.resident == (share > 0)
    for device in ("cpu", "cuda"):
        x, labels = split.batch(torch.tensor([3, 1], device=device))
        expected, expected_labels = batches.DeviceSplit(data, "train", "cpu").batch(torch.tensor([3, 1]))
        assert torch.equal(labels.cpu(), expected_labels)
        # CUDA divides by multiplying: the last bit may differ
        torch.testing.assert_close(x.cpu(), expected, atol=1e-7, rtol=0)
