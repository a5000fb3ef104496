"""What Snakemake noted when it made a file, held against what it would make now: settings and code of the file's rule,
and what people write for it: the manuscript, its claims, published values.

Snakemake keeps one JSON file per output below `.snakemake/metadata`, named by the output in base64; its `params` are
Python literals, and it knows the checksums of inputs that are not large. Where the note is gone, nothing is known but
whether the file is there.
"""

import ast
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmix.errors import UserError
from tokenmix.files import read_json, sha256_file
from tokenmix.study.code import CodeIdentity
from tokenmix.study.plan import Plan, stage_file
from tokenmix.study.stale import Difference, changes

METADATA = Path(".snakemake", "metadata")
#: tables of the paper that the config does not list
OTHER_TABLES = ("datasets", "reported", "switches")
#: where people write
SOURCES = "paper/"
#: figures that are drawn when all tables are evaluated, and those of the profile
_OF_METRICS = {"curves", "scores", "kernels", "confusion", "uplift", "ranks", "reported"}
_OF_PROFILE = {"mac_mixers", "mac_sizes"}
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Output:
    """A file of the study, the rule that makes it, the stage whose code it runs, and the settings it is given."""

    file: str
    rule: str
    stage: str
    settings: Mapping[str, Any] | None = None


def outputs(plan: Plan, tables: list[str], figures: list[str], *, paper: bool) -> Iterator[Output]:
    """What is made after training for these tables and figures; with `paper`, for the whole PDF."""
    content = plan.content
    folder = f"{content['results']}/{content['study']}"
    drawn, printed = set(figures), set(OTHER_TABLES) if paper else set(tables).intersection(OTHER_TABLES)
    tables = list(content["tables"]) if paper else [table for table in tables if table in content["tables"]]
    compared = paper or "reported" in printed | drawn
    about = {"about": {key: entry["about"] for key, entry in content["datasets"].items()}}
    shown = list(content["tables"]) if compared or drawn & _OF_METRICS else tables
    for table in shown:
        for dataset in content["tables"][table]["datasets"]:
            file = f"{folder}/metrics/{table}/{dataset}.csv"
            yield Output(file, "evaluate", "evaluation", {"evaluation": content["evaluation"]})
    if paper or "ranks" in drawn:
        yield from (Output(f"{folder}/metrics/{table}/ranks.csv", "rank", "ranking") for table in shown)
    # a table with extensions shows the parameters that they add
    extended = any("+" in model for table in tables for model in content["tables"][table]["models"])
    if paper or extended or drawn & _OF_PROFILE:
        facts = ("size", "dimensions", "channels", "classes")
        shapes = {key: {fact: entry[fact] for fact in facts} for key, entry in content["datasets"].items()}
        settings = {"profile": content["profile"], "model": content["model_options"], "datasets": shapes}
        yield Output(f"{folder}/profile/models.csv", "profile", "profiling", settings)
    for table in tables:
        settings = {f"tables.{table}": content["tables"][table], "remedies": content["remedies"], **about}
        yield Output(f"{folder}/paper/tables/{table}.tex", "table", "tables", settings)
    if compared:
        settings = {"remedies": content["remedies"], **about}
        yield Output(f"{folder}/paper/tables/reported.tex", "table_of_reported", "reported", settings)
    if "datasets" in printed:
        yield Output(f"{folder}/paper/tables/datasets.tex", "table_of_datasets", "tables", about)
    if "switches" in printed:
        if content["switches"]:
            settings = {"switches": content["switches"], "evaluation": content["evaluation"]}
            yield Output(f"{folder}/metrics/switches.csv", "evaluate_switches", "switches", settings)
        settings = {"remedies": content["remedies"], **about}
        yield Output(f"{folder}/paper/tables/switches.tex", "table_of_switches", "tables", settings)
    order = {"paper_tables": list(content["tables"])}
    for figure in figures:
        yield Output(f"{folder}/paper/figures/{figure}.pdf", "figure", "figures", {**order, **about})
    if paper:
        settings = {"title": content["title"], "switched": content["switched"], **order, **about}
        yield Output(f"{folder}/paper/values.json", "values", "values", settings)
        yield Output(f"{folder}/paper/claims.json", "claims", "claims")
        yield Output(f"{folder}/paper/runs.tex", "runs_appendix", "appendix")
        yield Output(f"{folder}/paper.pdf", "pdf", "paper")


def page(plan: Plan) -> Output:
    """The page of results, which is no part of the paper."""
    return Output(f"{plan.content['results']}/{plan.content['study']}/report.html", "report_page", "page")


def archives(plan: Plan) -> Iterator[Output]:
    """What a finished study is handed on in."""
    folder = f"{plan.content['results']}/{plan.content['study']}"
    yield Output(f"{folder}/arxiv.tar.gz", "arxiv", "archive")
    yield Output(f"{folder}/archive.zip", "crate", "archive")


def differences(plan: Plan, output: Output, code: CodeIdentity) -> list[Difference] | None:
    """What changed since an output was made, where its stage's code is now `code`; None where nothing is on record."""
    record = _record(output.file)
    params = _params(record)
    if params is None:
        return None
    found = list(_edited(record))
    texts = [param for param in params if isinstance(param, str)]
    old = next((text for text in texts if _HASH.fullmatch(text)), None)
    if old is not None and old != code.hash:
        listing = stage_file(plan.results, old)
        parts = changes("code", read_json(listing), code.parts) if listing.is_file() else ()
        found += parts or [Difference("code", f"the code of stage {output.stage}", old, code.hash)]
    if output.settings is not None:
        found += changes("spec", _settings(texts, output.settings), output.settings)
    return found


def _settings(texts: list[str], now: Mapping[str, Any]) -> dict[str, Any]:
    """The settings on record, under the names that they have now; those of now where none are on record."""
    recorded: list[dict[str, Any]] = []
    for text in texts:
        try:
            value = json.loads(text)
        except ValueError:
            continue
        recorded += [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, dict)]
    return {name: _recorded(name, value, recorded) for name, value in now.items()}


def _recorded(name: str, value: Any, recorded: list[dict[str, Any]]) -> Any:
    """One of them: the entry of its name, or a whole parameter, whose name is lost: that with most keys in common."""
    for part in recorded:
        if name in part:
            return part[name]
    if not isinstance(value, Mapping):
        return value
    sharing = [part for part in recorded if part.keys() & value.keys()]
    return max(sharing, key=lambda part: len(part.keys() & value.keys()), default=value)


def _edited(record: Mapping[str, Any]) -> Iterator[Difference]:
    """Files that people write and that are no longer what the output was made from."""
    for file, noted in (record.get("input_checksums") or {}).items():
        if file.startswith(SOURCES) and noted.startswith("sha256:"):
            now = f"sha256:{sha256_file(file)}" if Path(file).is_file() else None
            if now != noted:
                yield Difference("code", file, noted, now)


def _record(file: str) -> dict[str, Any]:
    """All that Snakemake noted of an output; nothing where the note is gone."""
    name = urlsafe_b64encode(file.encode()).decode()
    # long names are cut into folders, each part but the last marked by @
    parts = [name[i : i + 254] for i in range(0, len(name), 254)]
    path = METADATA.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])
    try:
        found = read_json(path)
    except UserError:
        return {}
    return found if isinstance(found, dict) else {}


def _params(record: Mapping[str, Any]) -> list[Any] | None:
    try:
        return [ast.literal_eval(param) for param in record["params"]]
    except (KeyError, TypeError, ValueError, SyntaxError):
        return None
