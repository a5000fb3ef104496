"""Checks of the part of the config that says how runs train: values that only together are wrong."""

from collections.abc import Iterator, Mapping
from typing import Any

from tokenmix.errors import UserError
from tokenmix.study.config import Table, merged
from tokenmix.study.grammar import ATTENTION, SCALES, parse_model, quote
from tokenmix.study.model_macs import WIDTHS
from tokenmix.study.protocol import Rung, Training
from tokenmix.study.raw import Finding, entries, listed
from tokenmix.study.yaml_lines import Place

#: channels of a head that FlexAttention's kernels for GPUs need at least
NARROWEST_OF_FLEX = 16


def training_problems(raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Rates, ladders of remedies and heads of attention that only together with other settings are wrong."""
    yield from _heads(raw)
    study = raw.get("training", {})
    if not isinstance(study, dict):
        return
    yield from _rates(study, study, ("training",))
    yield from _marks(study, ("training",))
    divergence = study.get("divergence")
    if (
        isinstance(divergence, dict)
        and divergence.get("policy", "ladder") == "ladder"
        and divergence.get("ladder") == []
    ):
        yield (
            ("training", "divergence", "ladder"),
            "the policy `ladder` needs a rung; or write `policy: record`",
        )
    for section in ("datasets", "tables"):
        for name, entry in entries(raw.get(section, {})):
            own = entry.get("training")
            if isinstance(own, dict):
                yield from _rates(merged(study, own), own, (section, name, "training"))
                yield from _marks(own, (section, name, "training"))


def _rates(training: dict[str, Any], written: dict[str, Any], place: Place) -> Iterator[Finding]:
    peak = training.get("lr", Training().lr)
    for key, default in (("warmup_lr", Training().warmup_lr), ("min_lr", Training().min_lr)):
        rate = training.get(key, default)
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (rate, peak))
        # what is out of its own range is told by the types
        if numbers and 0 < peak < rate <= 10 and {key, "lr"} & written.keys():
            yield (
                (*place, key if key in written else "lr"),
                f"{key} ({rate:g}) is above lr ({peak:g}); lower it",
            )


def _marks(training: dict[str, Any], place: Place) -> Iterator[Finding]:
    """Two rungs of one ladder with the same mark, of which a reader of the table could not tell which was climbed."""
    divergence = training.get("divergence")
    seen = set()
    for i, rung in enumerate(listed(divergence.get("ladder")) if isinstance(divergence, dict) else ()):
        mark = rung.get("mark", Rung().mark) if isinstance(rung, dict) else None
        if not isinstance(mark, str):
            continue
        if mark in seen:
            text = f"another remedy of this ladder has the mark {quote(mark)}, too; give each its own, like `#`"
            yield (*place, "divergence", "ladder", i, "mark"), text
        seen.add(mark)


def _heads(raw: Mapping[str, Any]) -> Iterator[Finding]:
    """A width of attention heads that does not divide the widths of a model in a chosen table, or no GPU computes."""
    options = raw.get("model")
    head_dim = options.get("head_dim") if isinstance(options, dict) else None
    if not isinstance(head_dim, int) or head_dim < 1:
        return
    chosen = listed(raw.get("paper_tables"))
    used: dict[tuple[str, str], str] = {}
    for name, table in entries(raw.get("tables", {})):
        if not chosen or name in chosen:
            used.update(dict.fromkeys(_attention(table), f"table {quote(name)}"))
    if not chosen or "switches" in chosen:
        compared = [entry.get("model") for entry in listed(raw.get("switches")) if isinstance(entry, dict)]
        used.update(dict.fromkeys(_attention({"baselines": compared}), "`switches`"))
    widths = {width for _, scale in used for width in WIDTHS[scale]}
    execution = raw.get("execution")
    on_gpus = not isinstance(execution, dict) or execution.get("needs_gpu") is not False
    local = next((where for (mixer, _), where in used.items() if mixer == "local_attn"), None)
    narrowest = NARROWEST_OF_FLEX if on_gpus and local else 1
    divisors = [n for n in range(narrowest, max(widths, default=0) + 1) if not any(width % n for width in widths)]
    allowed = f"allowed: {', '.join(map(str, divisors))}"
    wrong = [(place, scale, width) for (_, scale), place in used.items() for width in WIDTHS[scale] if width % head_dim]
    if wrong:
        place, scale, width = wrong[0]
        text = f"heads {head_dim} wide do not divide the width {width} of {quote(scale)} in {place}"
        yield ("model", "head_dim"), f"{text}; {allowed}"
    elif head_dim < narrowest:
        text = f"local attention on GPUs, in {local}, needs heads of {narrowest} or more"
        yield ("model", "head_dim"), f"{text}; {allowed}; or `execution: {{needs_gpu: false}}`, on machines without one"


def _attention(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Mixer and scale of a table's models with attention; names that are wrong are told elsewhere."""
    mixers = table.get("mixers")
    scale = table.get("scale", Table().scale)
    for name, kernels in mixers.items() if isinstance(mixers, dict) else ():
        mixer = str(name).partition("+")[0]
        if kernels is not False and mixer in ATTENTION and scale in SCALES:
            yield mixer, scale
    for name in listed(table.get("baselines")):
        try:
            model = parse_model(name)
        except (UserError, TypeError):
            continue
        if model.mixer in ATTENTION and model.scale:
            yield model.mixer, model.scale
