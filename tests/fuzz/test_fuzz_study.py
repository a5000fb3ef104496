"""Whatever stands in config, overlay, manifest and names: it works, or there is one message."""

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st
from mutations import NASTY, NUMBERS, altered, damaged, places, trees

from tokenmix.errors import UserError
from tokenmix.study.grammar import parse_model
from tokenmix.study.grid import expand
from tokenmix.study.load import load_config
from tokenmix.study.manifest import load_manifest

ENTRY: dict[str, Any] = {
    "kind": "medmnist",
    "title": "Tiny",
    "task": "binary",
    "classes": ["a", "b"],
    "channels": 1,
    "splits": {"train": 3, "val": 2, "test": 1},
    "files": {28: {"url": "https://example.org/tiny.npz", "md5": "0" * 32}},
}
REGISTERED = {key: value for key, value in ENTRY.items() if key != "files"} | {
    "kind": "folder",
    "path": "/images",
    "sha256": "0" * 64,
    "carve": {"fraction": 0.1, "seed": 0},
}
CONFIG: dict[str, Any] = {
    "study": "small",
    "title": "A study",
    "results": "results",
    "seeds": [0, 1],
    "data": {"mirrors": ["mirror"], "offline": True, "folder": "data"},
    "training": {
        "lr": 1.0e-3,
        "warmup_lr": 1.0e-5,
        "precision": "bf16",
        "divergence": {"policy": "ladder", "ladder": [{"lr_factor": 0.5, "mark": "*", "note": "slower"}]},
    },
    "datasets": {"tiny": {"size": 28, "training": {"affine_std": 0.05}}, "mine": {"size": 32}},
    "tables": {
        "first": {"datasets": ["tiny"], "mixers": {"conv": [3, 5], "identity": None}, "baselines": ["resnet18-k3"]}
    },
    "profile": {"image_sizes": [28], "mac_kernels": [3]},
}


def project(root: Path) -> Path:
    """A folder with a valid study, its manifest and a registered folder."""
    (root / "workflow" / "studies").mkdir(parents=True)
    (root / "data" / "registered").mkdir(parents=True)
    write(root / "config.yaml", CONFIG)
    write(root / "workflow" / "studies" / "small.yaml", {"seeds": [0]})
    write(root / "manifest.yaml", {"tiny": ENTRY})
    write(root / "data" / "registered" / "mine.yaml", REGISTERED)
    return root


def write(path: Path, tree: Any) -> None:
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")


def loads(root: Path, **arguments: Any) -> None:
    """Load the study and list its runs, or give one message."""
    manifest = root / "manifest.yaml"
    try:
        config = load_config(root, manifest=manifest, **arguments)
        expand(config, load_manifest(root / config.data.folder, manifest))
    except UserError as error:
        assert str(error).strip()


def test_the_study_that_is_mutated_below_is_valid(tmp_path):
    root = project(tmp_path)
    config = load_config(root, manifest=root / "manifest.yaml")
    assert len(expand(config, load_manifest(root / "data", root / "manifest.yaml"))) == 4


def test_config_of_any_shape(fuzz, tmp_path):
    root = project(tmp_path)

    def check(tree, over):
        write(root / "config.yaml", tree)
        write(root / "workflow" / "studies" / "small.yaml", over)
        loads(root, study="small")

    fuzz(check, altered(CONFIG), altered({"seeds": [0], "training": {"lr": 0.01}}))


def test_config_from_the_command_line(fuzz, tmp_path):
    root = project(tmp_path)
    overrides = st.dictionaries(st.sampled_from([*CONFIG, "no_such_key"]), trees) | altered(CONFIG)
    fuzz(lambda over: loads(root, overrides=over if isinstance(over, dict) else {}), overrides)


def test_config_of_any_text(fuzz, tmp_path):
    root = project(tmp_path)
    original = (root / "config.yaml").read_bytes()
    signs = ("[", "]", "{", "}", "|", ">", "'", '"', "#", " ", "\n", "\t", "- ", "? ", ": ", "\ufeff", "\u2028")
    texts = ("a:", "&x", "*x", "<<: ", "study: ", "1e999", "0x1", "%YAML 1.1\n", "---\n", "...\n", "!!python/name:x ")
    pieces = (*signs, *texts)
    text = st.lists(st.sampled_from(pieces) | st.text(max_size=3), max_size=60).map("".join)

    def check(content):
        (root / "config.yaml").write_bytes(content)
        loads(root)

    fuzz(check, damaged([original]) | text.map(lambda words: words.encode("utf-8", "surrogatepass")) | st.binary())


def test_manifest_and_registered_folders_of_any_shape(fuzz, tmp_path):
    root = project(tmp_path)

    def check(manifest, registered):
        write(root / "manifest.yaml", manifest)
        write(root / "data" / "registered" / "mine.yaml", registered)
        loads(root)

    fuzz(check, altered({"tiny": ENTRY}), altered(REGISTERED))


def test_manifest_of_any_text(fuzz, tmp_path):
    root = project(tmp_path)
    originals = [(root / "manifest.yaml").read_bytes(), json.dumps({"tiny": REGISTERED}).encode()]

    def check(manifest, registered):
        (root / "manifest.yaml").write_bytes(manifest)
        (root / "data" / "registered" / "mine.yaml").write_bytes(registered)
        loads(root)

    fuzz(check, damaged(originals), damaged(originals))


def test_names_of_models(fuzz):
    parts = st.sampled_from(
        ("xs", "s12", "tttt", "ptpt", "-", "--", "conv", "identity", "3", "99999", "٣", "resnet18", "k", *NASTY)
    )

    def check(name):
        try:
            assert parse_model(name).name == name
        except UserError as error:
            assert str(error).strip() and "\n" not in str(error)

    fuzz(check, st.lists(parts | st.text(max_size=3), max_size=8).map("".join))


def test_a_leaf_anywhere_in_a_config(fuzz, tmp_path):
    """One wrong value at a time, at every place: what hides behind an earlier mistake in the other targets."""
    root = project(tmp_path)

    def check(place, leaf):
        tree = yaml.safe_load(yaml.safe_dump(CONFIG))
        parent = tree
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = leaf
        write(root / "config.yaml", tree)
        loads(root)

    fuzz(check, st.sampled_from([place for place in places(CONFIG) if place]), st.sampled_from((*NUMBERS, *NASTY)))
