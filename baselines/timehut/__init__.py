"""TimeHUT: contrastive representation learning of time series, judged by a classifier on top.

*What*: a dilated convolution encoder (637,248 parameters for one channel) learns from two random
crops of every series without labels: hierarchical contrast with a scheduled temperature, plus an
angular margin loss. Its averaged weights are deployed; max-pooled over time they feed an SVM.
*Data*: UCR / UEA classification sets; Chinatown (20 training, 343 test series) by default.
*Metric*: accuracy of the SVM on the test part; weighted F1 and AUPRC beside it.
*Source*: TimeHUT; Yue et al., "TS2Vec", AAAI 2022; Choi et al., "AMC-Loss", CVPR-W 2020.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from bench.baseline import Dataset, Settings, Target

if TYPE_CHECKING:
    import torch

    from bench.job import Job

ScheduleName = Literal[
    "cosine_annealing",
    "linear_decay",
    "exponential_decay",
    "step_decay",
    "polynomial_decay",
    "sigmoid_decay",
    "warmup_cosine",
    "constant",
    "cyclic",
    "no_scheduling",
    "adaptive_cosine_annealing",
    "multi_cycle_cosine",
    "cosine_with_restarts",
]
MaskName = Literal["binomial", "continuous", "all_true", "all_false", "mask_last"]

TARGETS = {"Chinatown": 0.9796, "UnitTest": 0.9796, "Coffee": 0.99}
"""Accuracies worth reaching, by data set; others have no agreed value."""

SMALL_BATCH = 16
"""Up to so many series a second thread slows a step down (Chinatown 2x, Coffee 1.3x)."""


class TimeHUTSettings(Settings):
    """What can be changed about a TimeHUT run; the defaults are the best known values."""

    dataset: str | None = Field(
        None, description="UCR/UEA set, or a folder with its two .ts files; default Chinatown"
    )
    data_dir: Path | None = Field(None, description="folder that holds data sets, or gets them")
    epochs: int = Field(200, ge=1, description="passes over the training part")
    batch_size: int = Field(8, ge=2, description="series per step; a last smaller batch is dropped")
    lr: float = Field(1e-3, gt=0, description="learning rate of AdamW")
    hidden: int = Field(
        64, ge=1, description="channels inside the encoder", json_schema_extra={"scales": "width"}
    )
    depth: int = Field(
        10, ge=0, le=20, description="residual blocks before the output block",
        json_schema_extra={"scales": "depth"},
    )  # fmt: skip
    output: int = Field(
        320, ge=1, description="channels of the representation",
        json_schema_extra={"scales": "width"},
    )  # fmt: skip
    alpha: float = Field(0.5, ge=0, le=1, description="share of instance against temporal contrast")
    temperature_schedule: ScheduleName = Field(
        "cosine_annealing", description="how the temperature follows the epochs"
    )
    temperature_min: float = Field(0.15, gt=0, description="lowest temperature")
    temperature_max: float = Field(0.95, gt=0, description="highest temperature")
    temperature_period: int = Field(25, ge=1, description="epochs of the schedule (t_max)")
    temporal_tau: Literal["divide", "rescale"] = Field(
        "divide", description="temperature of the temporal contrast: in the softmax, or after it"
    )
    amc_instance: float = Field(2.0, ge=0, description="weight of the angular loss over series")
    amc_temporal: float = Field(2.0, ge=0, description="weight of the angular loss over time")
    amc_margin: float = Field(0.5, gt=0, le=3.14, description="angle kept from negatives, radians")
    mask: MaskName = Field("binomial", description="which time steps training hides")
    static_shapes: bool = Field(
        False, description="pad views to one shape: more work, but one graph for a compiler"
    )
    weight_averaging: bool = Field(True, description="deploy the mean of all steps' weights")
    validation_fraction: float = Field(
        0.0, ge=0, lt=1, description="share of the training part held out for validation"
    )
    evaluate_every: int = Field(10, ge=0, description="epochs between evaluations; 0: at the end")

    @model_validator(mode="after")
    def _temperatures_in_order(self) -> Self:
        low, high = self.temperature_min, self.temperature_max
        if low >= high:
            raise ValueError(f"temperature_min ({low}) must be below temperature_max ({high})")
        return self


class TimeHUT:
    """The baseline `timehut`; see the module's docstring."""

    name = "timehut"
    unit = "series"
    target = Target("accuracy", TARGETS["Chinatown"], (0.0, 1.0))
    settings = TimeHUTSettings
    preload: ClassVar[tuple[str, ...]] = ("baselines.timehut.training",)

    def prepare(self, settings: TimeHUTSettings) -> tuple[TimeHUTSettings, tuple[str, ...]]:
        """Resolve which data set is meant; raise `BenchError` when it can't be had."""
        from baselines.timehut.sources import resolve

        source, notices = resolve(settings.dataset, settings.data_dir)
        name = settings.dataset if settings.dataset is not None else source.name
        return settings.model_copy(update={"dataset": name}), notices

    def job(self, settings: TimeHUTSettings, device: torch.device, seed: int) -> Job:
        """Build a fresh training run of `settings`."""
        from baselines.timehut.training import build

        return build(settings, device, seed)

    def datasets(self, data_dir: Path | None) -> list[Dataset]:
        """List the sets found on this machine, nearest place first."""
        from baselines.timehut.sources import found

        return [Dataset(s.name, s.summary(), str(s.folder)) for s in found(data_dir)]

    def threads_for(self, settings: TimeHUTSettings) -> int | None:
        """Return 1 for small batches, whose operators are too short to share between threads."""
        return 1 if settings.batch_size <= SMALL_BATCH else None

    def target_for(self, settings: TimeHUTSettings) -> Target:
        """Return the accuracy worth reaching on this data set, None where nobody agreed on one."""
        name = "Chinatown" if settings.dataset is None else Path(settings.dataset).name
        return replace(self.target, value=TARGETS.get(name))
