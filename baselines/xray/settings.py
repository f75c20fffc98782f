"""What can be changed about an X-ray run."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from bench.baseline import Settings

PRESETS: dict[str, Any] = {
    "small": {
        "architecture": "small", "width": 0.5, "image_size": 96, "batch_size": 32, "epochs": 6,
        "lr": 4e-3, "lr_decay": "cosine", "weight_decay": 1.5, "augmentation": "minimal",
        "trainable_layers": None, "steps_per_epoch": None,
    },
    "before": {
        "architecture": "densenet121", "width": 1.0, "image_size": 224, "batch_size": 25,
        "epochs": 5, "lr": 1e-3, "lr_decay": "none", "weight_decay": 0.01,
        "augmentation": "heavy", "trainable_layers": 17, "steps_per_epoch": 143,
    },
    "after": {
        "architecture": "mobilenetv2", "width": 0.75, "image_size": 128, "batch_size": 64,
        "epochs": 3, "lr": 2e-3, "lr_decay": "none", "weight_decay": 0.01,
        "augmentation": "minimal", "trainable_layers": 0, "steps_per_epoch": 50,
    },
}  # fmt: skip
LIGHTER: dict[str, Any] = {
    "densenet121": {"architecture": "mobilenetv2", "width": 0.75, "weights": None},
    "mobilenetv2": {"architecture": "small", "width": 1.0, "weights": None},
}
"""Of an architecture the next lighter one."""


class XraySettings(Settings):
    """What can be changed; `preset` fills what is left out of the settings that it names."""

    dataset: str | None = Field(
        None,
        description="tasks, with commas between: names in data_dir, folders, or synthetic; default"
        " what is there",
    )
    data_dir: Path | None = Field(None, description="folder that holds the tasks' folders, or one")
    preset: Literal["small", "before", "after"] = Field(
        "small", description="a set of settings", json_schema_extra={"fills": PRESETS}
    )
    architecture: Literal["small", "mobilenetv2", "densenet121"] = Field(
        "small", description="the backbone", json_schema_extra={"lighter": LIGHTER}
    )
    width: float = Field(
        0.5, ge=0.01, le=4, description="factor of its channels",
        json_schema_extra={"scales": "width"},
    )  # fmt: skip
    image_size: int = Field(
        96, ge=16, le=1024, description="side of the images in pixels",
        json_schema_extra={"scales": "input"},
    )  # fmt: skip
    trainable_layers: int | None = Field(
        None, ge=0, description="how many of the backbone's last layers (of those with weights)"
        " train, in whole units; null: all",
    )  # fmt: skip
    augmentation: Literal["heavy", "minimal"] = Field(
        "minimal", description="rotation, flips, zoom and shift, or rescaling alone",
        json_schema_extra={"minimal": "minimal"},
    )  # fmt: skip
    batch_size: int = Field(32, ge=1, description="images a step; a last smaller batch is dropped")
    epochs: int = Field(6, ge=1, description="passes over the training part of each task")
    steps_per_epoch: int | None = Field(None, ge=1, description="end an epoch early; null: never")
    lr: float = Field(4e-3, gt=0, description="learning rate of AdamW")
    lr_decay: Literal["none", "cosine"] = Field(
        "cosine", description="keep that rate, or lower it along a cosine before each epoch",
        json_schema_extra={"own_schedule": "none"},
    )  # fmt: skip
    weight_decay: float = Field(1.5, ge=0, description="weight decay of AdamW")
    weights: Path | None = Field(
        None, description="the backbone's weights (.safetensors, or .pt of tensors alone), named as"
        " torchvision, timm or this baseline do",
    )  # fmt: skip
    pretrain_epochs: int = Field(
        0, ge=0, description="train the whole network on the training part for so long first"
    )
    hidden: int = Field(64, ge=0, description="units of the head's hidden layer; 0: none")
    colour: bool = Field(False, description="read images in colour; else in grey, three times")
    loading: Literal["eager", "lazy"] = Field(
        "eager", description="keep the images in memory, or read them from the cache file"
    )
    skip_bad: bool = Field(
        False, description="leave out and count images that can't be read", exclude_if=operator.not_
    )  # left out of recipes while off: they keep the ids that they had without it
    synthetic_images: int = Field(600, ge=20, description="size of the synthetic set")
    synthetic_classes: int = Field(2, ge=2, le=20, description="its classes")
    evaluate_every: int = Field(0, ge=0, description="epochs between evaluations; 0: at the end")

    @model_validator(mode="after")
    def _large_enough(self) -> XraySettings:
        if self.architecture == "densenet121" and self.image_size < 32:
            raise ValueError(
                f"densenet121 halves its images five times: image_size={self.image_size} is too"
                " small for it, 32 is the least"
            )
        return self
