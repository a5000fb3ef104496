"""The manifest says what the installed medmnist package says."""

import pytest

from tokenmix.study.manifest import load_manifest

TASKS = {
    "multi-class": "multi-class",
    "binary-class": "binary",
    "ordinal-regression": "ordinal",
    "multi-label, binary-class": "multi-label",
}


def test_every_medmnist_set_is_there_with_its_official_facts() -> None:
    official = pytest.importorskip("medmnist").INFO
    ours = {name: entry for name, entry in load_manifest().items() if entry.kind == "medmnist"}
    assert set(ours) == set(official)
    assert sorted(entry.dimensions for entry in ours.values()) == [2] * 12 + [3] * 6
    for name, facts in official.items():
        entry = ours[name]
        assert entry.task == TASKS[facts["task"]]
        assert entry.channels == facts["n_channels"] and entry.licence == facts["license"]
        assert entry.splits.model_dump() == facts["n_samples"]
        names = [facts["label"][str(number)] for number in range(len(facts["label"]))]
        if name == "retinamnist":
            names = [f"grade {grade}" for grade in names]
        assert entry.classes == names
        sizes = (28, 64) if entry.dimensions == 3 else (28, 64, 128, 224)
        assert tuple(sorted(entry.files)) == sizes
        for size in sizes:
            suffix = "" if size == 28 else f"_{size}"
            assert (entry.files[size].url, entry.files[size].md5) == (
                facts[f"url{suffix}"],
                facts[f"MD5{suffix}"],
            )


def test_imagewoof_and_both_phantoms_are_there() -> None:
    manifest = load_manifest()
    woof = manifest["imagewoof"]
    # 9,025 training images of which a tenth becomes the validation split; the archive's val is the test split
    assert (woof.splits.train + woof.splits.val, woof.splits.test) == (9025, 3929)
    assert woof.splits.val == round(woof.carve.fraction * 9025) and woof.sizes is None
    # as Catalyst's class Imagewoof320 has them, too
    archive = "https://s3.amazonaws.com/fast-ai-imageclas/imagewoof2-320.tgz", "af65be7963816efa949fa3c3b4947740"
    assert (woof.files[0].url, woof.files[0].md5) == archive
    phantoms = [entry for entry in manifest.values() if entry.kind == "phantom"]
    assert {entry.channels for entry in phantoms} == {1, 3}
