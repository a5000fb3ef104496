"""Mutate each module and each field in turn: exactly the runs that depend on it go stale."""

import shutil
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any, get_args

import pytest

from tokenmix.study import code
from tokenmix.study.config import Config
from tokenmix.study.plan import Plan, PlannedRun, freeze, resolve
from tokenmix.study.protocol import REMEDIES, ModelOptions, Training
from tokenmix.study.stale import RunState, states

PACKAGE = Path(code.__file__).parents[1]
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def changed(config: Config, **sections: Any) -> Config:
    return Config.model_validate({**config.model_dump(exclude_unset=True), **sections})


def look(config: Config, root: Path, source: Path) -> tuple[Plan, dict[str, RunState]]:
    """Plan the study again, with eyes for what was edited; cell -> its run's state."""
    code.forget()
    plan = resolve(config, root, source)
    return plan, {plan.runs[state.run].run.cell: state for state in states(plan)}


def runs_of(plan: Plan) -> dict[str, PlannedRun]:
    """Cell -> its run."""
    return {run.run.cell: run for run in plan.runs.values()}


def stale(found: dict[str, RunState]) -> set[str]:
    assert {state.state for state in found.values()} <= {"exists", "stale"}
    return {cell for cell, state in found.items() if state.state == "stale"}


def edit(source: Path, *modules: str) -> None:
    """Add a statement to each of them."""
    for module in modules:
        with (source / "tokenmix" / module).open("a") as file:
            file.write("\n_edited = 1\n")


def reachable(source: Path, entries: list[str]) -> set[str]:
    """What Python's own module finder reaches, as an independent witness."""
    finder = ModuleFinder(path=[str(source)])
    for entry in entries:
        finder.import_hook(entry)
        parent, _, name = entry.rpartition(".")
        finder.import_hook(parent, None, [name])
    names = {name for name, module in finder.modules.items() if name.split(".")[0] == "tokenmix" and module.__file__}
    return {Path(finder.modules[name].__file__).relative_to(source / "tokenmix").as_posix() for name in names}


MODELS = {
    "xs-tttt-pooling3": ["metaformer", "mixers.pooling"],
    "xs-tttt-pooling5": ["metaformer", "mixers.pooling"],
    "xs-tttt-conv3": ["metaformer", "mixers.conv"],
    "xs-tttt-local_attn3": ["metaformer", "mixers.local_attn"],
    "xs-tttt-identity": ["metaformer", "mixers.identity"],
    "xs-tttt-random": ["metaformer", "mixers.random"],
    "resnet18-k3": ["resnet"],
}
PREPARATIONS = {
    "phantom_tissue-28": "prepare_phantom",
    "breastmnist-28": "prepare_medmnist",
    "imagewoof-64": "prepare_imagefolder_archive",
}


def test_each_edited_module_makes_exactly_the_runs_stale_that_reach_it(study, finish, config, source, tmp_path):
    finish(study)
    of_model = {
        model: reachable(source, ["tokenmix.training.__main__", *(f"tokenmix.models.{name}" for name in modules)])
        for model, modules in MODELS.items()
    }
    of_data = {data: reachable(source, [f"tokenmix.data.{name}"]) for data, name in PREPARATIONS.items()}
    _, found = look(config, tmp_path, source)
    assert not stale(found)
    reached = set().union(*of_model.values(), *of_data.values())
    # those that nothing reaches, all at once: each alone makes no run stale if all together make none
    edit(source, *(module for module in MODULES if module not in reached))
    assert not stale(look(config, tmp_path, source)[1])
    hit = {}
    for module in (module for module in MODULES if module in reached):
        path = source / "tokenmix" / module
        text = path.read_text()
        edit(source, module)
        plan, found = look(config, tmp_path, source)
        expected = {
            run.run.cell for run in plan.runs.values() if module in of_model[run.run.model] | of_data[run.run.data]
        }
        assert stale(found) == expected, module
        name = "tokenmix." + module.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for cell in expected:
            blamed = {d.name.removeprefix("code.") for d in found[cell].differences}
            assert blamed == {name if module != "__init__.py" else "tokenmix"}, cell
        hit[module] = len(expected)
        path.write_text(text)
    # the above was not about nothing
    assert hit["training/loss.py"] == len(study.runs) and hit["models/mixers/pooling.py"] == 6
    assert hit["data/prepare_medmnist.py"] == 7 and not {"reporting/tables.py", "cli.py"} & hit.keys()
    assert {"reporting/tables.py", "cli.py"} <= set(MODULES)


#: model and init -> the modules of its own, of every kind that a study can have
WIDE = {
    "s12-pptt-local_attn3 warm": ["metaformer", "mixers.pooling", "mixers.local_attn", "weights_start"],
    "s12-pptt-local_attn3 cold": ["metaformer", "mixers.pooling", "mixers.local_attn", "weights_start"],
    "s12-pptt-local_attn3 matched": ["metaformer", "mixers.pooling", "mixers.local_attn"],
    "resnet18-k3 pretrained": ["resnet", "weights_start"],
    "s12-tttt-local_attn3+slopes scratch": ["metaformer", "mixers.local_attn", "extensions.slopes"],
    "s12-tttt-local_attn3+register scratch": ["metaformer", "mixers.local_attn", "extensions.register"],
    "s12-tttt-conv3+bilinear+coordmlp scratch": [
        "metaformer",
        "mixers.conv",
        "extensions.bilinear",
        "extensions.coordmlp",
    ],
    "s12-tttt-fcvit11 scratch": ["metaformer", "mixers.fcvit"],
    "fcvit_tiny scratch": ["fcvit"],
    "xs-tttt-sep_conv3 scratch": ["metaformer", "mixers.sep_conv"],
}
WIDE_SECTIONS = {
    "datasets": {"breastmnist": {"size": 224}, "adrenalmnist3d": {"size": 28}},
    "tables": {
        "pretrained": {
            "datasets": ["breastmnist"],
            "arrangement": "pptt",
            "init": "pretrained",
            "mixers": {"local_attn": [3]},
            "baselines": ["resnet18-k3"],
        },
        "matched": {
            "datasets": ["breastmnist"],
            "arrangement": "pptt",
            "init": "matched",
            "mixers": {"local_attn": [3]},
        },
        "extensions": {
            "datasets": ["breastmnist"],
            "mixers": {
                "local_attn+slopes": [3],
                "local_attn+register": [3],
                "conv+bilinear+coordmlp": [3],
                "fcvit": [11],
            },
            "baselines": ["fcvit_tiny"],
        },
        "volumes": {"datasets": ["adrenalmnist3d"], "scale": "xs", "mixers": {"sep_conv": [3]}},
    },
}


def test_weights_extensions_fcvit_and_volumes_go_stale_by_their_own_modules(finish, config, source, tmp_path):
    wide = changed(config, **WIDE_SECTIONS)
    study = freeze(wide, tmp_path, source)
    finish(study)
    keys = {run.run.cell: f"{run.run.model} {run.run.init}" for run in study.runs.values()}
    assert set(keys.values()) == WIDE.keys()
    trainer = reachable(source, ["tokenmix.training.__main__"])
    needs = {
        key: reachable(source, ["tokenmix.training.__main__", *(f"tokenmix.models.{name}" for name in modules)])
        for key, modules in WIDE.items()
    }
    special = sorted(set().union(*needs.values()) - trainer)
    assert {"models/extensions/slopes.py", "models/weights_start.py", "models/mixers/fcvit.py"} <= set(special)
    for module in special:
        text = (source / "tokenmix" / module).read_text()
        edit(source, module)
        found = look(wide, tmp_path, source)[1]
        assert stale(found) == {cell for cell, key in keys.items() if module in needs[key]}, module
        (source / "tokenmix" / module).write_text(text)
    # these alone name published weights
    starts = {cell for cell, key in keys.items() if key.split()[1] in ("warm", "cold", "pretrained")}
    assert {cell for cell, run in runs_of(study).items() if run.spec.weights} == starts


def test_comments_docstrings_and_layout_make_none_stale(study, finish, config, source, tmp_path):
    finish(study)
    for module in MODULES:
        path = source / "tokenmix" / module
        path.write_text(f'"""Other words."""\n\n# a comment\n{path.read_text()}\n\n\n# another\n')
    assert not stale(look(config, tmp_path, source)[1])


def test_a_new_module_nobody_imports_makes_none_stale(study, finish, config, source, tmp_path):
    finish(study)
    (source / "tokenmix/models/mixers/brand_new.py").write_text("TAKES_KERNEL = True\n")
    assert not stale(look(config, tmp_path, source)[1])


def another(section: type, field: str) -> Any:
    info = section.model_fields[field]
    if isinstance(info.default, bool):
        return not info.default
    if isinstance(info.default, int):
        return info.default + 1
    if isinstance(info.default, float):
        return info.default / 2
    return next(value for value in get_args(info.annotation) if value != info.default)


def test_each_changed_field_makes_exactly_its_runs_stale(study, finish, config, source, tmp_path):
    finish(study)
    cells = {run.run.cell for run in study.runs.values()}
    metaformers = {cell for cell in cells if "resnet" not in cell}
    for field in Training.model_fields.keys() - {"divergence"}:
        value = another(Training, field)
        _, found = look(changed(config, training={field: value}), tmp_path, source)
        assert stale(found) == cells, field
        for state in found.values():
            (difference,) = state.differences
            assert (difference.kind, difference.name) == ("spec", f"training.{field}")
            assert (difference.before, difference.after) == (Training.model_fields[field].default, value)
        datasets = {**config.model_dump(exclude_unset=True)["datasets"]}
        datasets["breastmnist"] = {"size": 28, "training": {field: value}}
        _, found = look(changed(config, datasets=datasets), tmp_path, source)
        assert stale(found) == {cell for cell in cells if cell.startswith("breastmnist")}, field
    for field in ModelOptions.model_fields.keys() - {"warm_heads"}:  # which concerns warm starts only
        value = another(ModelOptions, field)
        _, found = look(changed(config, model={field: value}), tmp_path, source)
        assert stale(found) == metaformers, field


@pytest.mark.parametrize(
    "sections",
    [
        {"study": "other"},
        {"title": "Other"},
        {"execution": {"checkpoint_seconds": 1}},
        {"evaluation": {"bootstrap": 200}},
        {"profile": {"mac_kernels": [3]}},
        {"data": {"folder": "elsewhere", "offline": True}},
        {
            "training": {
                "divergence": {"ladder": [{**rung.model_dump(), "mark": "x", "note": "y"} for rung in REMEDIES]}
            }
        },
        {"training": {"lr": 0.001, "compile": False, "accumulation": 1}},
        {"seeds": [0, 0]},
    ],
)
def test_what_is_no_part_of_a_run_makes_none_stale(study, finish, config, source, tmp_path, sections):
    finish(study)
    assert not stale(look(changed(config, **sections), tmp_path, source)[1])


def test_remedies_make_runs_stale_and_are_named(study, finish, config, source, tmp_path):
    finish(study)
    ladder = {"divergence": {"policy": "ladder", "ladder": [{"lr_factor": 0.5}]}}
    _, found = look(changed(config, training=ladder), tmp_path, source)
    assert {d.name for state in found.values() for d in state.differences} == {"remedies"}


def test_a_new_seed_or_size_is_missing_not_stale(study, finish, config, source, tmp_path):
    finish(study)
    more = resolve(changed(config, seeds=[0, 1]), tmp_path, source)
    assert {s.state for s in states(more) if more.runs[s.run].run.seed == 1} == {"missing"}
    assert {s.state for s in states(more) if more.runs[s.run].run.seed == 0} == {"exists"}


def test_nothing_exists_before_the_first_run(study):
    assert {state.state for state in states(study)} == {"missing"}


def test_a_run_whose_attestation_is_broken_is_missing(study, finish):
    finish(study)
    first, second, *_ = study.runs
    (study.results / "runs" / first / "run.json").write_text("{")
    (study.results / "runs" / second / "run.json").write_text("{}")
    found = {state.run: state.state for state in states(study)}
    assert found[first] == found[second] == "missing" and list(found.values()).count("exists") == len(found) - 2


def test_a_run_that_attests_other_data_is_stale(study, finish):
    finish(study)
    run = next(iter(study.runs))
    path = study.results / "runs" / run / "run.json"
    path.write_text(path.read_text().replace(study.runs[run].data.hash, "0" * 64))
    (state,) = [state for state in states(study) if state.run == run]
    assert (state.state, [d.name for d in state.differences]) == ("stale", ["hash"])


def test_the_newest_earlier_run_of_the_cell_is_compared(study, finish, config, source, tmp_path):
    finish(study)
    code.forget()
    faster = resolve(changed(config, training={"lr": 0.5}), tmp_path, source)
    run, newer = next(iter(study.runs)), next(iter(faster.runs))
    folder = study.results / "runs"
    text = (folder / run / "run.json").read_text()
    (folder / newer).mkdir()
    text = text.replace('"lr": 0.001', '"lr": 0.5').replace("2026-01-01", "2026-02-01")
    (folder / newer / "run.json").write_text(text)
    _, found = look(changed(config, training={"lr": 0.25}), tmp_path, source)
    state = found[study.runs[run].run.cell]
    assert state.earlier == newer
    assert [str(d) for d in state.differences] == ["training.lr 0.5 -> 0.25"]


def test_deleted_plans_and_code_are_not_a_riddle(study, finish, config, source, tmp_path):
    finish(study)
    shutil.rmtree(study.results / "plan")
    shutil.rmtree(study.results / "code")
    loss = source / "tokenmix/training/loss.py"
    loss.write_text(loss.read_text() + "\nx = 1\n")
    _, found = look(changed(config, training={"lr": 0.5}), tmp_path, source)
    assert {tuple(d.name for d in state.differences) for state in found.values()} == {("training.lr", "hash")}
