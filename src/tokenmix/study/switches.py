"""What each switch of the protocol is worth: a model on a data set, trained under each of them alone.

A variant is the study's config with the switches set and with one table, so that its runs are named as any other's:
those that a study shows elsewhere, or another study trained, are not trained again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import canonical_json
from tokenmix.study.config import Comparison, Config
from tokenmix.study.datahash import DataIdentity
from tokenmix.study.grammar import init_problem, nearest, parse_model, quote, volume_problem
from tokenmix.study.manifest import DatasetEntry
from tokenmix.study.options import norm_of
from tokenmix.study.published import AS_PUBLISHED, SWITCHES, Switch
from tokenmix.study.spec import RunSpec
from tokenmix.study.yaml_lines import Place

#: the table that the runs of variants stand in
TABLE = "switches"
CORRECTED = "corrected"


def variants(config: Config, chosen: Comparison) -> dict[str, Config]:
    """Name -> config of the corrected protocol, of each switch alone and of all.

    The table of an attention's model from published weights has both of its starts, warm and cold.
    """
    alone = {switch.name: _variant(config, chosen, [switch]) for switch in SWITCHES}
    return {CORRECTED: _variant(config, chosen, []), **alone, AS_PUBLISHED: _variant(config, chosen, SWITCHES)}


def _variant(config: Config, chosen: Comparison, published: Sequence[Switch]) -> Config:
    values = config.model_dump(exclude_unset=True)
    for switch in SWITCHES:
        *above, key = switch.setting.split(".")
        section = values
        for name in above:
            section = section.setdefault(name, {})
        section[key] = switch.published if switch in published else switch.corrected
        # what the data set's own training says would win over the switch
        own = values["datasets"][chosen.dataset].get("training", {})
        if above == ["training"]:
            own.pop(key, None)
    model = parse_model(chosen.model)
    table = {
        "datasets": [chosen.dataset],
        "baselines": [chosen.model],
        "init": "scratch" if chosen.init == "scratch" else "pretrained",
        "seeds": chosen.seeds or config.seeds,
        # which rows of pooling are those of hybrids
        **({"scale": model.scale, "arrangement": model.arrangement} if model.family == "metaformer" else {}),
    }
    return Config.model_validate({**values, "tables": {TABLE: table}, "paper_tables": []})


def meaning(spec: RunSpec, data: DataIdentity, entry: DatasetEntry) -> str:
    """What a run does, in words that are the same for settings which mean the same for its model and data set."""
    does = spec.canonical()
    training, options = does["training"], dict(does["model_options"])
    if training["selection_split"] == "test_without_val":
        does["training"] = {**training, "selection_split": "test" if entry.carve else "val"}
    model = parse_model(spec.model)
    if "norm" in options:
        options["norm"] = norm_of(options["norm"], model.arrangement)
    if model.mixer != "local_attn":
        options.pop("small_map_fallback", None)
    return canonical_json({**does, "model_options": options, "rungs": list(spec.rungs), "data": data.hash})


def switch_problems(raw: Mapping[str, Any], manifest: Mapping[str, DatasetEntry]) -> Iterator[tuple[Place, str]]:
    """Mistakes of the section `switches`; what has a wrong type is told elsewhere."""
    section, datasets = raw.get(TABLE), raw.get("datasets")
    if not isinstance(section, list) or not isinstance(datasets, dict):
        return
    chosen = raw.get("paper_tables")
    if isinstance(chosen, list) and chosen and TABLE not in chosen:
        return  # the study does not make this table
    used = [str(name) for name, use in datasets.items() if use is not False]
    before: list[tuple[Any, ...]] = []
    for i, entry in enumerate(section):
        told = entry if isinstance(entry, dict) else {}
        named = (told.get("dataset"), told.get("model"), told.get("init", "scratch"))
        if not all(isinstance(text, str) for text in named):
            continue
        dataset, model, init = map(str, named)
        place = (TABLE, i)
        if named in before:
            yield place, "this comparison stands here twice; remove one of them"
        before.append(named)
        if dataset not in used:
            yield (*place, "dataset"), f"{quote(dataset)} is not one of this study's `datasets`{nearest(dataset, used)}"
        try:
            problem = init_problem(model, init)
        except UserError as error:
            yield (*place, "model"), str(error)
            continue
        if problem:
            yield (*place, "init"), problem
        if dataset in manifest and manifest[dataset].dimensions == 3:
            if init != "scratch":
                hint = "published weights are those of two-dimensional models; leave out `init`"
                yield (*place, "init"), f"{quote(dataset)} is three-dimensional; {hint}"
            if text := volume_problem(model):
                yield (*place, "model"), f"{quote(dataset)} is three-dimensional; {text}"
