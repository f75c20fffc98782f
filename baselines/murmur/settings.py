"""What can be changed about a murmur run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from bench.baseline import Settings

PRESETS: dict[str, Any] = {
    "small": {
        "backbone": "resnet18", "width": 0.25, "mels": 32, "hop_ms": 20, "seconds": 4.0,
        "stretches": 4, "epochs": 12, "batch_size": 32, "lr": 1e-3, "hidden": 64, "dropout": 0.3,
    },
    "report": {
        "backbone": "efficientnet-b0", "width": 1.0, "mels": 128, "hop_ms": 16, "seconds": 4.096,
        "stretches": 8, "epochs": 50, "batch_size": 32, "lr": 1e-3, "hidden": 512, "dropout": 0.3,
    },
}  # fmt: skip


def among(*values: float | str) -> dict[str, Any]:
    """Mark a setting with the values that the report's tuning table names for it."""
    return {"range": [*values]}


class MurmurSettings(Settings):
    """What can be changed; `preset` fills what is left out of the settings that it names."""

    dataset: str | None = Field(None, description="circor, a folder like it, or synthetic")
    data_dir: Path | None = Field(None, description="folder of the patients, or one that holds it")
    preset: Literal["small", "report"] = Field(
        "small", description="a set of settings", json_schema_extra={"fills": PRESETS}
    )
    folds: int = Field(5, ge=3, description="parts that patients are dealt into")
    fold: int = Field(0, ge=0, description="which of them is the test part, from 0")
    backbone: Literal["efficientnet-b0", "efficientnet-b2", "resnet18", "resnet34"] = Field(
        "resnet18", description="the network before the heads",
        json_schema_extra=among("resnet18", "resnet34", "efficientnet-b2"),
    )  # fmt: skip
    width: float = Field(
        0.25, ge=0.05, le=4, description="factor of its channels",
        json_schema_extra={"scales": "width"},
    )  # fmt: skip
    weights: Path | None = Field(
        None, description="the backbone's weights (.safetensors), named as torchvision or timm do"
    )
    hidden: int = Field(
        64, ge=1, description="units of the layer that both heads share",
        json_schema_extra=among(256, 512, 1024),
    )  # fmt: skip
    dropout: float = Field(
        0.3, ge=0, lt=1, description="before that layer and behind it",
        json_schema_extra=among(0.2, 0.3, 0.5),
    )  # fmt: skip
    mels: int = Field(32, ge=8, le=256, description="mel bands of a spectrogram")
    hop_ms: int = Field(20, ge=4, le=100, description="milliseconds from one frame to the next")
    seconds: float = Field(4.0, gt=0, le=30, description="length of a stretch")
    stretches: int = Field(4, ge=1, description="of a recording, at most, evenly spread")
    loss: Literal["focal", "cross-entropy"] = Field("focal", description="of both heads")
    gamma: float = Field(
        2.0, ge=0, le=5, description="focal: how little what is sure counts",
        json_schema_extra=among(1.0, 2.0, 3.0),
    )  # fmt: skip
    batch_size: int = Field(
        32, ge=2, description="stretches a step; a last smaller one is dropped",
        json_schema_extra=among(16, 32, 64),
    )  # fmt: skip
    lr: float = Field(
        1e-3, gt=0, description="learning rate of AdamW",
        json_schema_extra=among(1e-4, 5e-4, 1e-3, 5e-3),
    )  # fmt: skip
    lr_decay: Literal["none", "cosine"] = Field(
        "cosine", description="keep that rate, or lower it along a cosine before each epoch",
        json_schema_extra={"own_schedule": "none"},
    )  # fmt: skip
    weight_decay: float = Field(0.05, ge=0, description="weight decay of AdamW")
    epochs: int = Field(12, ge=1, description="passes over the training part")
    skip_bad: bool = Field(False, description="leave out and count what can't be read")
    synthetic_patients: int = Field(60, ge=12, description="size of the synthetic set")
    synthetic_seconds: float = Field(8.0, ge=1, le=60, description="length of its recordings")
    evaluate_every: int = Field(0, ge=0, description="epochs between evaluations; 0: at the end")

    @model_validator(mode="after")
    def _one_of_the_folds(self) -> MurmurSettings:
        if self.fold >= self.folds:
            raise ValueError(f"fold={self.fold} is none of {self.folds} folds, 0 to"
                             f" {self.folds - 1}")  # fmt: skip
        return self
