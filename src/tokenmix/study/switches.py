"""What each switch of the protocol is worth: one model on one data set, trained under each of them alone.

A variant is the study's config with the switches set and with one table, so that its runs are named as any other's:
those that a study shows elsewhere, or another study trained, are not trained again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import canonical_json
from tokenmix.study.config import Config
from tokenmix.study.datahash import DataIdentity
from tokenmix.study.grammar import nearest, parse_model, quote, volume_problem
from tokenmix.study.manifest import DatasetEntry
from tokenmix.study.options import norm_of
from tokenmix.study.published import AS_PUBLISHED, SWITCHES, Switch
from tokenmix.study.spec import RunSpec
from tokenmix.study.yaml_lines import Place

#: the table that the runs of variants stand in
TABLE = "switches"
CORRECTED = "corrected"


def variants(config: Config) -> dict[str, Config]:
    """Name -> config of the corrected protocol, of each switch alone and of all; empty where none is compared."""
    if not config.compares_switches:
        return {}
    alone = {switch.name: _variant(config, [switch]) for switch in SWITCHES}
    return {CORRECTED: _variant(config, []), **alone, AS_PUBLISHED: _variant(config, SWITCHES)}


def _variant(config: Config, published: Sequence[Switch]) -> Config:
    chosen = config.switches
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
    table = {"datasets": [chosen.dataset], "baselines": [chosen.model], "seeds": chosen.seeds or config.seeds}
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
    if not isinstance(section, dict) or not isinstance(datasets, dict):
        return
    chosen = raw.get("paper_tables")
    if isinstance(chosen, list) and chosen and TABLE not in chosen:
        return  # the study does not make this table
    dataset, model = section.get("dataset", ""), section.get("model", "")
    if not isinstance(dataset, str) or not isinstance(model, str) or not (dataset or model):
        return
    used = [str(name) for name, use in datasets.items() if use is not False]
    if dataset not in used:
        what = "no data set is named" if not dataset else f"{quote(dataset)} is not one of this study's `datasets`"
        yield (TABLE, "dataset"), f"{what}{nearest(dataset, used)}"
    try:
        parse_model(model)
    except UserError as error:
        yield (TABLE, "model"), str(error)
        return
    if dataset in manifest and manifest[dataset].dimensions == 3 and (text := volume_problem(model)):
        yield (TABLE, "model"), f"{quote(dataset)} is three-dimensional; {text}"
