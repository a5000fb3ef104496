"""The types of the config: `config.yaml` and the overlays in `workflow/studies` are checked against them.

The defaults are those of the full study. `config.yaml` is the manual: it shows each of these fields with its
default, and tests hold that, as well as that `config.schema.json` is generated from here.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from tokenmix.study.grammar import metaformer_name, pretrained_inits
from tokenmix.study.options import matched_init
from tokenmix.study.protocol import ModelOptions, Section, Training, TrainingOverride


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"a kernel is an odd number; the nearest are {value - 1} and {value + 1}")
    return value


def _without_left_out(value: Any) -> Any:
    # in mappings of names an overlay says `name: false` to leave out an entry of the file below
    value = {} if value is None else value
    return {k: v for k, v in value.items() if v is not False} if isinstance(value, dict) else value


Metric = Literal["accuracy", "balanced_accuracy", "auc", "f1"]
METRICS: tuple[str, ...] = get_args(Metric)
Kernel = Annotated[int, Field(ge=3, le=99, json_schema_extra={"not": {"multipleOf": 2}}), AfterValidator(_odd)]
SMALLEST, LARGEST = 8, 2048
Size = Annotated[int, Field(ge=SMALLEST, le=LARGEST)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
#: Names of data sets and tables stand in the names of runs, files, rules and TeX commands.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class DataSettings(Section):
    """Where images come from and where prepared arrays go."""

    mirrors: list[str] = Field(default=[], description="folders searched for an archive before the internet")
    offline: bool = Field(default=False, description="never use the network; a missing archive is an error")
    padding: Literal["square", "width"] = Field(
        default="square",
        description="zeros around images of an archive of folders: to a square; width: of both axes at the width, "
        "which distorts them, as published",
    )
    folder: str = Field(default="data", min_length=1, description="folder of prepared arrays and registered folders")


class Execution(Section):
    """How runs are carried out; never part of a run's identity."""

    checkpoint_seconds: float = Field(default=60, gt=0, le=86400, description="time between two resumable states")
    needs_gpu: bool = Field(
        default=True, description="stop with an estimate of the cost without GPU and executor; false: go on"
    )
    pack_minutes: float = Field(
        default=60, gt=0, le=10080, description="aimed length of a training job: it trains as many runs as fit"
    )
    runs_at_once: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = Field(
        default="auto", description="runs side by side in one training job; auto: a probe of the GPU decides, 1 without"
    )
    memory_mb: int = Field(default=8000, ge=100, le=10**7, description="memory of a run; retries ask for more")
    retries: int = Field(
        default=2, ge=0, le=20, description="further attempts at a training job, each with more memory and time"
    )


class Evaluation(Section):
    """Bootstrap intervals over the cases of a test split, and tests of differences between models."""

    bootstrap: int = Field(default=5000, ge=100, le=1_000_000, description="resamples")
    seed: Seed = Field(default=0, description="seed of the resampling, the same cases for every model")
    level: float = Field(default=0.95, gt=0.5, lt=1, description="of the intervals; a test errs with 1 - level")
    correction: Literal["holm", "none"] = Field(
        default="holm",
        description="holm: p-values adjusted for all pairs of a table, data set and metric; none: by intervals",
    )


class Claims(Section):
    """What becomes of the claims of paper/claims.yaml."""

    may_fail: bool = Field(
        default=False, description="false: a claim that the results contradict fails the build, after the PDF is made"
    )


class DatasetUse(Section):
    """One data set as the study uses it."""

    size: Size = Field(description="edge of the images in pixels; the manifest says which are offered")
    training: TrainingOverride = Field(
        # type: ignore[valid-type]
        default=TrainingOverride(),
        description="training settings that differ from the study's",
    )
    ranked: bool = Field(default=True, description="counts in the rankings of mixers over data sets")


class Table(Section):
    """One table: its rows are models, its columns data sets and metrics; or each data set has a row."""

    caption: str = Field(default="", description="caption in the paper; empty: written by the table's own rule")
    layout: Literal["models", "datasets"] = Field(
        default="models", description="rows: models; or data sets with their facts, scores and a verdict"
    )
    datasets: Annotated[list[str] | None, Field(min_length=1)] = Field(
        default=None, description="data sets in the order of the columns; default: all of `datasets`"
    )
    metrics: list[Metric] = Field(
        default=["accuracy", "auc", "f1"], min_length=1, description="metrics in the order of the columns"
    )
    scale: Literal["s12", "xs"] = Field(default="s12", description="s12, or xs (a quarter as wide, stem of stride 2)")
    arrangement: str = Field(default="tttt", description="a letter a stage: t the mixer, p 3x3 pooling")
    init: Literal["scratch", "pretrained", "matched"] = Field(
        default="scratch",
        description="initial weights; pretrained: published ones, where attention is a row warm and a row cold; "
        "matched: none, in the networks (norm, heads of attention) that the published ones belong to",
    )
    seeds: Annotated[list[Seed] | None, Field(min_length=1)] = Field(
        default=None, description="seeds of the table's runs; default: the study's"
    )
    training: TrainingOverride = Field(
        default=TrainingOverride(), description="training settings of the table's runs that differ from the others'"
    )
    mixers: Annotated[
        dict[str, Annotated[list[Kernel] | None, Field(min_length=1)]],
        BeforeValidator(
            _without_left_out,
            json_schema_input_type=dict[str, list[Kernel] | Literal[False] | None],
        ),
    ] = Field(default={}, description="mixer -> kernels; nothing for a mixer without kernel; false leaves one out")
    baselines: list[str] = Field(default=[], description="further models by their full names")

    def models(self) -> list[str]:
        """The full names of the table's models in the order of its rows."""
        return list(dict.fromkeys(model for model, _ in self.rows()))

    def rows(self) -> list[tuple[str, str]]:
        """Model and initialisation of each of the table's rows, in their order."""
        groups = [
            [metaformer_name(self.scale, self.arrangement, mixer, kernel) for kernel in kernels or (None,)]
            for mixer, kernels in self.mixers.items()
        ]
        rows = [
            (model, init)
            for models in [*groups, *([model] for model in self.baselines)]
            for init in (pretrained_inits(models[0]) if self.init == "pretrained" else (self.init,))
            for model in models
        ]
        return list(dict.fromkeys(rows))


class Comparison(Section):
    """Runs on which the paper shows what each difference to the published protocol is worth."""

    dataset: str = Field(description="one of `datasets`, best a small one")
    model: str = Field(description="a model by its full name")
    init: Literal["scratch", "warm", "cold", "pretrained"] = Field(default="scratch", description="its initial weights")
    seeds: list[Seed] = Field(default=[], description="seeds of the compared runs; empty: the study's")


class Profile(Section):
    """What the figures of multiply-adds cover."""

    image_sizes: list[Size] = Field(
        default=[224, 384, 512, 768],
        min_length=1,
        description="edges of the image for the MACs of whole models",
    )
    mac_kernels: list[Kernel] = Field(
        default=[3, 5, 7, 9], min_length=1, description="kernels for the MACs of a mixer layer"
    )
    mac_image_size: Size = Field(default=768, description="edge of the image whose stages the mixer layers stand in")


class Config(Section):
    """A whole study. `lines` says where each value was written."""

    study: str = Field(default="demo", description="an overlay of workflow/studies, or full for none")
    protocol: Literal["corrected", "as_published"] = Field(
        default="corrected",
        description="as_published: every switch of study/published.py as it was published",
    )
    pooling_rows: Literal["own", "reused"] = Field(
        default="own",
        description="rows of pooling in tables of hybrids from scratch; reused: the runs of [T,T,T,T], as published",
    )
    title: str = Field(default="", description="the study in words, for the PDF; empty: its name")
    results: str = Field(default="results", min_length=1, description="folder of everything that is computed")
    seeds: list[Seed] = Field(default=[0, 1, 2], min_length=1, description="one training a seed for every cell")
    data: DataSettings = Field(default=DataSettings(), description="where images come from and go")
    training: Training = Field(default=Training(), description="the training protocol")
    model: ModelOptions = Field(default=ModelOptions(), description="options of the MetaFormers")
    execution: Execution = Field(default=Execution(), description="how runs are carried out")
    evaluation: Evaluation = Field(default=Evaluation(), description="intervals")
    claims: Claims = Field(default=Claims(), description="claims of the paper that the results contradict")
    datasets: Annotated[
        dict[Name, DatasetUse],
        BeforeValidator(_without_left_out, json_schema_input_type=dict[Name, DatasetUse | Literal[False]]),
    ] = Field(default={}, description="names of the manifest or of registered folders; false leaves one out")
    tables: Annotated[
        dict[Name, Table],
        BeforeValidator(_without_left_out, json_schema_input_type=dict[Name, Table | Literal[False]]),
    ] = Field(default={}, description="tables of the paper; false leaves one out")
    paper_tables: list[Name] = Field(
        default=[], description="the tables of this study, in order, switches among them; empty: all"
    )
    switches: list[Comparison] = Field(
        default=[], description="where the paper shows what each switch of the protocol is worth"
    )
    profile: Profile = Field(default=Profile(), description="multiply-adds")

    _lines: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def lines(self) -> dict[str, str]:
        """Dotted path of a key -> `file:line` where its value was written; defaults are absent."""
        return self._lines

    @property
    def chosen_tables(self) -> dict[str, Table]:
        """The tables that this study makes, without that of switches."""
        return {name: self.tables[name] for name in self.paper_tables or self.tables if name in self.tables}

    @property
    def comparisons(self) -> list[Comparison]:
        """What the table of switches compares, where this study makes it."""
        return self.switches if not self.paper_tables or "switches" in self.paper_tables else []

    def training_for(self, dataset: str, table: str) -> Training:
        """The training settings of a table's runs on a data set: the study's, the data set's, the table's on top."""
        settings = self.training.model_dump()
        for override in (self.datasets[dataset].training, self.tables[table].training):
            settings = merged(settings, override.model_dump(exclude_unset=True))
        return Training.model_validate(settings)

    def rows_of(self, table: str) -> list[tuple[str, str]]:
        """Model and initialisation of each row of a table, with the models whose runs stand in it."""
        settings = self.tables[table]
        rows = settings.rows()
        if self.pooling_rows == "reused" and settings.init == "scratch":
            hybrid, plain = (f"{settings.scale}-{stages}-pooling" for stages in (settings.arrangement, "tttt"))
            rows = [(re.sub(rf"^{hybrid}(?=\d)", plain, model), init) for model, init in rows]
        if settings.init == "matched":
            # where the network is the same anyway, its row shows the runs from scratch
            options = self.model.model_dump()
            rows = [(model, matched_init(model, options)) for model, _ in rows]
        return rows

    def datasets_of(self, table: str) -> list[str]:
        """The data sets of a table in the order of its columns."""
        return list(self.tables[table].datasets or self.datasets)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`: mappings merge, everything else replaces."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
