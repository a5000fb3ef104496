"""The published values (`paper/reported/*.csv`), read and put into the terms of our own cells."""

import csv
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.study.grammar import metaformer_name, nearest, parse_model, quote
from tokenmix.study.manifest import load_manifest
from tokenmix.study.problems import Problem, raise_problems

COLUMNS = ("source", "table", "arrangement", "init", "mixer", "kernel", "dataset", "metric", "value", "note")
#: published name -> ours; None where we have no counterpart
MIXERS = {
    "pooling": "pooling", "conv": "conv", "grouped_conv": "sep_conv", "local_attn": "local_attn",
    "global_attn": "full_attn", "random": "random", "identity": "identity", "resnet18": "resnet18",
    "rad_dino": None, "unet": None, "unet_patch_embed": None,
}  # fmt: skip
METRICS = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced_accuracy", "auc_macro_ovr": "auc", "f1_macro": "f1",
    "dice_mean": None, "hd95_px_mean": None,
}  # fmt: skip
#: a mixer without attention weights has no choice of warm or cold: any pretrained start of ours is its counterpart
INITS = {
    "scratch": ("scratch",), "imagenet": ("pretrained", "warm", "cold"), "imagenet_warm": ("warm",),
    "imagenet_cold": ("cold",), "foundation_frozen": (),
}  # fmt: skip
ARRANGEMENTS = {"[T,T,T,T]": "tttt", "[P,P,T,T]": "pptt", "-": ""}
#: data sets of the published study that our manifest does not offer
ELSEWHERE = ("jsrt", "grazpedwri", "tiger")
#: rows of the tables of extensions -> ours; replacing the convolution by coordinates leaves it bilinear
ROWS: dict[str, tuple[str, ...]] = {
    "": (), "baseline": (), "conv (default)": (), "none": ("bilinear",), "coord-mlp": ("bilinear", "coordmlp"),
    "coord-mlp + conv": ("coordmlp",), "slopes": ("slopes",), "cls token": ("cls",), "global register": ("register",),
}  # fmt: skip
#: what tells one published cell from another, beside kernel and row
CELL = ("table", "arrangement", "init", "mixer", "dataset", "metric")
#: images of the published study have this edge in all two-dimensional classification
SIZE = 224


@dataclass(frozen=True)
class Published:
    """One published value. `mixer` and `metric` are ours, None without counterpart; `kernel` None without one."""

    table: str
    arrangement: str
    inits: tuple[str, ...]
    mixer: str | None
    kernel: int | None
    extensions: tuple[str, ...]
    dataset: str
    metric: str | None
    value: float
    note: str

    @property
    def model(self) -> tuple[str, str | None, int | None, tuple[str, ...], tuple[str, ...]]:
        """What tells the models of one published table apart."""
        return self.arrangement, self.mixer, self.kernel, self.extensions, self.inits


def read_published(folder: Path, datasets: tuple[str, ...] = ()) -> list[Published]:
    """Every value below `folder`, in the order of the files; `datasets` are known beside the manifest's.

    Raises one UserError with all that is not understood: file and line, what was written, what may stand there.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise UserError(f"{folder} holds no published values (*.csv); give the folder that does")
    known = dict.fromkeys((*load_manifest(), *ELSEWHERE, *datasets))
    problems: list[Problem] = []
    places: dict[tuple, tuple[str, float]] = {}
    values = [value for path in files for value in _read(path, known, places, problems)]
    raise_problems(f"the published values of {folder}", problems, [str(path) for path in files])
    return values


def _read(
    path: Path, datasets: dict[str, None], places: dict[tuple, tuple[str, float]], problems: list[Problem]
) -> list[Published]:
    """The values of a file; `places` says of each cell where it stood first, and with which value."""
    values = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                problems.append(Problem(f"{path}:1", f"no column {', '.join(missing)}"))
                return []
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if None in row or None in row.values():
                    problems.append(Problem(where, f"the row has not the {len(reader.fieldnames or ())} columns above"))
                    continue
                wrong = _mistakes(row, datasets)
                problems += [Problem(where, text) for text in wrong]
                if wrong:
                    continue
                value = _published(row)
                cell = (*(row[name] for name in CELL), value.kernel, row.get("row", ""))
                first, before = places.setdefault(cell, (where, value.value))
                if before != value.value:
                    problems.append(Problem(where, f"{first} has {before:g} for the same cell; remove one of them"))
                values.append(value)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.append(Problem(f"{path}:1", f"cannot be read as CSV ({error})"))
    return values


def _mistakes(row: dict[str, str], datasets: dict[str, None]) -> list[str]:
    """What in a row names no cell that we know of."""
    words: dict[str, Collection[str]] = {
        "mixer": MIXERS, "metric": METRICS, "init": INITS, "arrangement": ARRANGEMENTS, "dataset": datasets,
    }  # fmt: skip
    found = [
        f"unknown {column} {quote(row[column])}{nearest(row[column], known)}"
        for column, known in words.items()
        if row[column] not in known
    ]
    if (extension := row.get("row", "")) not in ROWS:
        found.append(f"unknown row {quote(extension)}{nearest(extension, filter(None, ROWS))}")
    if row["kernel"] != "-" and not (row["kernel"].isascii() and row["kernel"].isdecimal() and int(row["kernel"]) % 2):
        found.append(f"kernel {quote(row['kernel'])} is neither an odd number nor `-` for none")
    try:
        value = float(row["value"])
    except ValueError:
        value = math.nan
    is_share = METRICS.get(row["metric"]) is not None
    if not math.isfinite(value) or (is_share and not 0 <= value <= 1):
        found.append(f"value {quote(row['value'])} is no number{' between 0 and 1' if is_share else ''}")
    return found or _model_mistakes(row)


def _model_mistakes(row: dict[str, str]) -> list[str]:
    """Why words that are known one by one name no model of ours, as the grammar of models says it."""
    mixer, arrangement, extensions = MIXERS[row["mixer"]], ARRANGEMENTS[row["arrangement"]], ROWS[row.get("row", "")]
    if mixer is None:
        return []
    kernel = None if row["kernel"] == "-" else int(row["kernel"])
    if mixer == "resnet18":
        if arrangement or extensions:
            return ["resnet18 has neither arrangement nor extension; write `-` for the arrangement and no such row"]
        name = f"resnet18-k{kernel or ''}"
    elif not arrangement:
        return [f"the mixer {quote(row['mixer'])} needs an arrangement: {', '.join(filter('-'.__ne__, ARRANGEMENTS))}"]
    else:
        name = metaformer_name("s12", arrangement, "+".join((mixer, *extensions)), kernel)
    try:
        parse_model(name)
    except UserError as error:
        return [str(error)]
    return []


def _published(row: dict[str, str]) -> Published:
    return Published(
        row["table"],
        ARRANGEMENTS[row["arrangement"]],
        INITS[row["init"]],
        MIXERS[row["mixer"]],
        None if row["kernel"] == "-" else int(row["kernel"]),
        ROWS[row.get("row", "")],
        row["dataset"],
        METRICS[row["metric"]],
        float(row["value"]),
        row["note"],
    )
