"""Code identities by stage: from which modules each kind of job starts."""

from collections.abc import Iterable
from pathlib import Path

from tokenmix.study.code import CodeIdentity, code_identity, exists
from tokenmix.study.grammar import parse_model

#: stage -> modules its jobs start from. Reporting is split by product, so that an edit in the tables' module
#: rebuilds tables and nothing else.
STAGES = {
    "evaluation": ("tokenmix.evaluation.command",),
    "switches": ("tokenmix.evaluation.switches",),
    "ranking": ("tokenmix.evaluation.rank_command",),
    "profiling": ("tokenmix.profiling.command",),
    "values": ("tokenmix.reporting.values",),
    "tables": ("tokenmix.reporting.tables",),
    "reported": ("tokenmix.reporting.reported",),
    "figures": ("tokenmix.reporting.figures",),
    "appendix": ("tokenmix.reporting.appendix",),
    "claims": ("tokenmix.reporting.claims.tex",),
    "paper": ("tokenmix.reporting.paper",),
    "page": ("tokenmix.reporting.page.document",),
    "archive": ("tokenmix.reporting.archive.results", "tokenmix.reporting.archive.arxiv"),
}

#: what every training starts from; the modules of its model come on top
TRAINING = "tokenmix.training.__main__"


def training_entries(model: str, init: str = "scratch") -> tuple[str, ...]:
    """The entry modules of a run: the trainer and the files of its own model, which are imported by name."""
    return (TRAINING, *parse_model(model).modules(init))


def stage_identities(models: Iterable[str], source: Path) -> dict[str, CodeIdentity]:
    """Stage -> its code, for a study of these models; of nothing where it has no modules."""
    profiled = sorted({module for model in models for module in parse_model(model).modules()})
    identities = {}
    for stage, modules in STAGES.items():
        entries = [module for module in modules if exists(module, source)]
        if stage == "profiling" and entries:
            entries += profiled  # models are imported by name, here as in training
        identities[stage] = code_identity(entries, source)
    return identities
