"""The frozen plan: what it holds, that it is written once, and that edits leave it alone."""

import ast
import hashlib
import json
from pathlib import Path

import pytest

from tokenmix.errors import UserError
from tokenmix.files import read_json
from tokenmix.study import code, trees
from tokenmix.study.config import Config
from tokenmix.study.plan import freeze, resolve
from tokenmix.study.stages import STAGES, stage_identities


def files(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def changed(config: Config, **sections) -> Config:
    return Config.model_validate({**config.model_dump(exclude_unset=True), **sections})


def test_a_run_file_names_spec_data_and_code(study, tmp_path):
    run = next(name for name in study.runs if "imagewoof-64.xs-tttt-local_attn3" in name)
    file = read_json(tmp_path / f"results/plan/{run}.json")
    assert file["run"] == run
    assert [rung["mark"] for rung in file["rungs"]] == ["", "*", "#", "+"]
    assert file["spec"]["training"]["lr"] == 1e-3 and "divergence" not in file["spec"]["training"]
    assert file["spec"]["model_options"]["head_dim"] == 16
    assert file["data"]["folder"] == f"data/imagewoof-64.{file['data']['hash'][:8]}"
    assert file["code"]["folder"] == f"results/code/{file['code']['hash'][:8]}"
    assert (tmp_path / file["code"]["folder"] / "tokenmix/models/mixers/local_attn.py").is_file()


def test_the_index_is_named_by_its_content(study):
    short = hashlib.sha256(study.index.read_bytes()).hexdigest()[:8]
    assert study.index.name == f"small.{short}.json"


def test_the_index_holds_what_rules_and_reports_need(study, config):
    index = read_json(study.index)
    assert list(index["runs"]) == list(study.runs)
    assert list(index["datasets"]) == ["phantom_tissue-28", "breastmnist-28", "imagewoof-64"]
    assert index["phantoms"] is True and index["title"] == "small"
    assert index["tables"]["second"]["datasets"] == ["breastmnist-28"]
    assert index["tables"]["second"]["models"] == ["xs-tttt-identity", "xs-tttt-random"]
    run = next(run for run in index["runs"].values() if run["model"] == "xs-tttt-local_attn3" and run["size"] == 28)
    assert run["global_stages"] == [4] and run["tables"] == ["first"]
    assert run["data_folder"] == index["datasets"]["phantom_tissue-28"]["folder"]
    assert index["code"].keys() == STAGES.keys()


def test_a_mark_with_two_meanings_has_no_footnote(source, tmp_path, config):
    def remedied(note: str, **rung) -> dict:
        rungs = [{"mark": "*", "note": note, **rung}, {"mark": "#", "note": "half batches"}]
        return {"divergence": {"ladder": rungs}}

    datasets = {
        "breastmnist": {"size": 28, "training": remedied("a tenth of the rate", lr_factor=0.1)},
        "phantom_tissue": {"size": 28, "training": remedied("whole numbers", precision="fp32")},
    }
    plan = freeze(changed(config, datasets=datasets), tmp_path, source)
    assert read_json(plan.index)["remedies"] == {"#": "half batches"}
    datasets["phantom_tissue"] = datasets["breastmnist"]
    plan = freeze(changed(config, datasets=datasets), tmp_path, source)
    assert read_json(plan.index)["remedies"] == {"*": "a tenth of the rate", "#": "half batches"}


def test_an_edited_licence_of_a_registered_folder_reaches_the_index_and_retrains_nothing(source, tmp_path, config):
    entry = tmp_path / "data/registered/mine.yaml"
    entry.parent.mkdir(parents=True)
    text = """
        {kind: folder, title: mine, task: binary, classes: [a, b], channels: 1, licence: not stated,
         splits: {train: 8, val: 1, test: 1}, path: /images, sha256: "%s"}
        """
    entry.write_text(text % ("0" * 64))
    config = changed(config, datasets={"mine": {"size": 28}}, tables={"first": {"mixers": {"identity": None}}})
    before = freeze(config, tmp_path, source)
    entry.write_text(entry.read_text().replace("not stated", "CC BY 4.0").replace("title: mine", "title: Ours"))
    after = freeze(config, tmp_path, source)
    assert list(after.runs) == list(before.runs)
    told = [read_json(plan.index)["datasets"]["mine-28"]["about"] for plan in (before, after)]
    assert told[0] == {"title": "mine", "licence": "not stated", "doi": ""}
    assert told[1] == {"title": "Ours", "licence": "CC BY 4.0", "doi": ""}


def test_a_set_of_volumes_is_planned_as_one(source, tmp_path, config):
    datasets = {"adrenalmnist3d": {"size": 28}, "breastmnist": {"size": 28}}
    tables = {"first": {"scale": "xs", "mixers": {"local_attn": [3, 7]}, "baselines": ["resnet18-k3"]}}
    plan = resolve(changed(config, datasets=datasets, tables=tables), tmp_path, source)
    dimensions = {run["dataset"]: run["dimensions"] for run in plan.content["runs"].values()}
    assert dimensions == {"adrenalmnist3d": 3, "breastmnist": 2}


def test_tables_keep_the_order_of_the_config(source, tmp_path, config):
    tables = {name: {"mixers": {"identity": None}} for name in ("z", "a", "m")}
    index = freeze(changed(config, tables=tables), tmp_path, source).index
    assert list(json.loads(index.read_text())["tables"]) == ["z", "a", "m"]


def test_freezing_again_writes_nothing(study, source, tmp_path, config):
    before = files(tmp_path / "results")
    code.forget()
    assert freeze(config, tmp_path, source).index == study.index
    after = files(tmp_path / "results")
    # the index becomes the newest one, which `tokenmix status` shows
    assert after.pop(study.index)[1] == before.pop(study.index)[1]
    assert after == before


def test_resolving_writes_nothing(source, tmp_path, config):
    assert len(resolve(config, tmp_path, source).runs) == 19
    assert not (tmp_path / "results").exists()


def test_edited_and_broken_code_leaves_what_was_frozen(study, source, tmp_path, config):
    before = {path: content for path, content in files(tmp_path / "results").items() if path.parent.name != "checkouts"}
    loss = source / "tokenmix/training/loss.py"
    loss.write_text(loss.read_text() + "\nx = 1\n")
    code.forget()
    second = freeze(changed(config, training={"lr": 5e-4}), tmp_path, source)
    assert not second.runs.keys() & study.runs.keys()
    now = files(tmp_path / "results")
    assert {path: now[path] for path in before} == before
    loss.write_text("def (")
    code.forget()
    with pytest.raises(UserError, match=r"loss\.py:1 is not valid Python"):
        freeze(config, tmp_path, source)
    assert files(tmp_path / "results") == now


@pytest.mark.parametrize("edit", [lambda text: text.replace("0.001", "0.002"), lambda text: text[:40]])
def test_an_edited_plan_file_is_refused(study, source, tmp_path, config, edit):
    path = tmp_path / f"results/plan/{next(iter(study.runs))}.json"
    path.write_text(edit(path.read_text()))
    with pytest.raises(UserError, match=f"{path.name} was edited"):
        freeze(config, tmp_path, source)


def test_moving_the_data_renames_no_run(study, source, tmp_path, config):
    moved = freeze(changed(config, data={"folder": "elsewhere"}), tmp_path, source)
    assert moved.runs.keys() == study.runs.keys()
    file = read_json(tmp_path / f"results/plan/{next(iter(study.runs))}.json")
    assert file["data"]["folder"].startswith("elsewhere/")


def test_a_plan_file_from_before_an_option_existed_is_kept(study, source, tmp_path, config):
    path = tmp_path / f"results/plan/{next(iter(study.runs))}.json"
    old = read_json(path)
    del old["spec"]["training"]["compile"]
    path.write_text(json.dumps(old))
    freeze(config, tmp_path, source)
    assert read_json(path) == old


def test_results_that_cannot_be_written_are_named(source, tmp_path, config):
    (tmp_path / "results").write_text("a file in the way")
    with pytest.raises(UserError, match=r"cannot write .*results"):
        freeze(config, tmp_path, source)


def test_many_runs_parse_each_module_once(source, tmp_path, config, monkeypatch):
    files_of_package = len(list(source.rglob("*.py")))
    parsed = []
    parse = ast.parse
    trees._parse.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", lambda *given, **more: parsed.append(given) or parse(*given, **more))
        assert len(resolve(changed(config, seeds=list(range(100))), tmp_path, source).runs) == 1900
    # the grammar reads the mixers' files once more for itself
    assert len(parsed) <= files_of_package + 8


def edit(source: Path, module: str) -> None:
    path = source / "tokenmix" / module
    path.write_text(path.read_text() + "\n_edited = 1\n")
    code.forget()


def stages_hit(source: Path, module: str) -> set[str]:
    before = stage_identities(["xs-tttt-pooling3"], source)
    edit(source, module)
    after = stage_identities(["xs-tttt-pooling3"], source)
    return {stage for stage in STAGES if before[stage] != after[stage]}


def test_an_edit_of_a_template_style_or_script_rebuilds_the_page(source):
    files = [path for path in (source / "tokenmix/reporting/page").iterdir() if path.suffix != ".py"]
    assert len(files) >= 5
    for path in files:
        assert stages_hit(source, f"reporting/page/{path.name}") == {"page"}, path.name


def test_an_edit_in_one_stage_leaves_the_others(source):
    assert stages_hit(source, "reporting/tables.py") == {"tables"}
    assert stages_hit(source, "reporting/page/content.py") == {"page"}
    assert stages_hit(source, "evaluation/metrics.py") == {"evaluation", "switches"}
    assert stages_hit(source, "models/mixers/pooling.py") == {"profiling"}
    assert stages_hit(source, "models/mixers/conv.py") == set()
    assert stages_hit(source, "training/loss.py") == set()
