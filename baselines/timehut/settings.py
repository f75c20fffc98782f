"""What can be changed about a TimeHUT run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from bench.baseline import Settings

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
