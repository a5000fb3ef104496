"""The part of the config that belongs to a run's identity: how it trains, and its model's options."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Precision = Literal["bf16", "fp32"]


class Section(BaseModel):
    """A part of the config: unknown keys are refused, nothing is converted, values do not change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        # a section that holds nothing but comments says nothing
        return {} if value is None else value


class Rung(Section):
    """One remedy for a run that diverged: changes to its training settings."""

    lr_factor: float = Field(default=1.0, gt=0, le=10, description="multiplies lr, warmup_lr and min_lr")
    iterations_factor: float = Field(default=1.0, gt=0, le=10, description="multiplies iterations")
    batch_factor: float = Field(default=1.0, gt=0, le=1, description="multiplies batch_size, rounded, at least 1")
    accumulation: int | None = Field(default=None, ge=1, le=1024, description="takes the place of accumulation")
    precision: Precision | None = Field(default=None, description="takes the place of precision")
    compile: bool | None = Field(default=None, description="takes the place of compile")
    mark: str = Field(default="*", min_length=1, max_length=3, description="mark at the cell of a table")
    note: str = Field(default="", description="footnote behind the mark")


#: The remedies of the reference's status report, which its authors applied by hand in this order.
REMEDIES = [
    Rung(
        lr_factor=0.1,
        iterations_factor=2,
        mark="*",
        note="repeated after divergence with a tenth of the learning rate and twice the epochs",
    ),
    Rung(
        lr_factor=0.1,
        iterations_factor=2,
        batch_factor=0.5,
        accumulation=2,
        compile=False,
        mark="#",
        note="repeated after divergence with a tenth of the rate, twice the epochs, half batches, accumulation of 2",
    ),
    Rung(
        lr_factor=0.1,
        iterations_factor=2,
        batch_factor=0.25,
        accumulation=4,
        compile=False,
        mark="+",
        note="repeated after divergence with a tenth of the rate, twice the epochs, quarter batches, accumulation of 4",
    ),
]


class Divergence(Section):
    """What happens when the loss or the gradient is no longer finite."""

    policy: Literal["record", "ladder"] = Field(
        default="ladder",
        description="record: the run ends with its last good checkpoint; ladder: remedies follow",
    )
    ladder: list[Rung] = Field(
        default=REMEDIES, max_length=8, description="remedies, tried in order with policy ladder"
    )


class Training(Section):
    """The training protocol; every field is part of a run's identity."""

    iterations: int = Field(default=35000, ge=1, le=10_000_000, description="optimiser steps")
    batch_size: int = Field(default=128, ge=1, le=65536, description="images of one forward pass")
    accumulation: int = Field(default=1, ge=1, le=1024, description="forward passes of one optimiser step")
    lr: float = Field(default=1.0e-3, gt=0, le=10, description="peak learning rate of AdamW")
    weight_decay: float = Field(default=0.01, ge=0, le=10, description="decoupled weight decay of AdamW")
    warmup_epochs: int = Field(default=5, ge=0, le=100_000, description="epochs of linear warm-up")
    schedule_lag: bool = Field(
        default=False, description="the schedule one epoch late and its cosine cut short, as published"
    )
    warmup_lr: float = Field(default=1.0e-5, ge=0, le=10, description="learning rate at the start of the warm-up")
    min_lr: float = Field(default=1.0e-5, ge=0, le=10, description="learning rate at the end of the cosine")
    label_smoothing: float = Field(default=0.1, ge=0, lt=1, description="label smoothing of the cross-entropy")
    class_weights: Literal["sqrt_inverse", "none"] = Field(
        default="sqrt_inverse", description="sqrt_inverse: sqrt(N/n_c) over the smallest of them, at most 10"
    )
    affine_std: float = Field(default=0.1, ge=0, le=1, description="std of the noise on the augmentation's matrix")
    precision: Precision = Field(default="bf16", description="bf16 (autocast, float32 weights) or fp32")
    threads: int = Field(default=1, ge=1, le=256, description="CPU threads of one run; part of its identity")
    compile: bool = Field(default=False, description="torch.compile the model")
    channels_last: bool = Field(default=True, description="memory layout of images and feature maps")
    selection: Literal["f1_macro", "balanced_accuracy", "loss"] = Field(
        default="f1_macro", description="validation metric that picks the checkpoint"
    )
    selection_split: Literal["val", "test_without_val", "test"] = Field(
        default="val",
        description="split that picks the checkpoint; test_without_val: the test split for data sets that come without "
        "a validation split, as published",
    )
    drop_last_validation: bool = Field(
        default=False, description="pick the checkpoint on whole batches only, as published"
    )
    validations: int = Field(
        default=100, ge=1, le=1_000_000, description="validations at most, evenly spread over the epochs"
    )
    divergence: Divergence = Field(default=Divergence(), description="what happens when a run diverges")


class TrainingOverride(Training):
    """Training settings of one data set: only those that are written count, see `Config.training_for`."""


class ModelOptions(Section):
    """Options shared by the MetaFormers; every field is part of a run's identity."""

    head_dim: int = Field(default=16, ge=1, le=1024, description="width of one attention head")
    drop_path: float = Field(default=0.1, ge=0, lt=1, description="drop path, the same in every block")
    layer_scale: float = Field(default=1.0e-5, gt=0, le=1, description="initial value of layer scale")
    small_map_fallback: bool = Field(default=False, description="local attention is global on maps of up to 64 tokens")
    norm: Literal["group", "channel", "by_arrangement"] = Field(
        default="channel",
        description="channel: layer norm of each position; group: one GroupNorm group; by_arrangement: group for "
        "tttt, channel for hybrids, as published",
    )
    warm_heads: Literal["checkpoint", "by_mixer"] = Field(
        default="checkpoint",
        description="heads of attention that starts from published weights: checkpoint: those that they were trained "
        "with, warm and cold; by_mixer: those in global attention that starts warm, else head_dim, as published",
    )
    positions: Literal["mixer", "stage3", "none"] = Field(
        default="mixer",
        description="learned position maps: in global attention, before stage 3 as in the pretrained hybrid, or none",
    )
