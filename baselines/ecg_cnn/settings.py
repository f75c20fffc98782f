"""What can be changed about an ECG CNN run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bench.baseline import Settings

_SWITCHES = ("attention", "attention_scale", "squeeze", "residual", "deep", "extra_dense")
NETWORKS: dict[str, Any] = {
    "complex": {**dict.fromkeys(_SWITCHES, True), "loss": "focal"},
    "simple": {**dict.fromkeys(_SWITCHES, False), "loss": "bce"},
}


class ECGCNNSettings(Settings):
    """What can be changed; `network` fills what is left out of the seven settings after it."""

    dataset: str | None = Field(
        None, description="cinc2020, cinc2021, a folder of records, a .h5 file, or synthetic"
    )
    data_dir: Path | None = Field(None, description="folder of records, or the one that holds it")
    network: Literal["simple", "complex"] = Field(
        "simple", description="a set of switches", json_schema_extra={"fills": NETWORKS}
    )
    attention: bool = Field(False, description="temporal self-attention behind the stages")
    attention_scale: bool = Field(False, description="its scores are divided by sqrt(channels)")
    squeeze: bool = Field(False, description="squeeze-and-excitation in each stage")
    residual: bool = Field(False, description="a shortcut around each stage")
    deep: bool = Field(False, description="five stages of two convolutions, not four of one")
    extra_dense: bool = Field(False, description="dense layers of 512 and 256, not one of 128")
    loss: Literal["bce", "focal"] = Field("bce", description="binary cross-entropy, or focal")
    width: int = Field(
        64, ge=1, description="channels of the first stage", json_schema_extra={"scales": "width"}
    )
    length: int = Field(15000, ge=16, description="samples of a record, padded or cut to it")
    labels: int = Field(19, ge=2, description="at most so many of the scored labels, by frequency")
    batch_size: int = Field(8, ge=2, description="records a step; a last smaller batch is dropped")
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")
    epochs: int = Field(10, ge=1, description="passes over the training part, at most")
    patience: int = Field(
        10, ge=0, description="epochs without a lower validation loss before the stop; 0: never"
    )
    plateau_patience: int = Field(
        4, ge=0, description="epochs without one before the rate is halved; 0: never",
        json_schema_extra={"own_schedule": 0},
    )  # fmt: skip
    loading: Literal["eager", "lazy"] = Field(
        "eager", description="keep all records in memory, or read each when it is needed"
    )
    skip_bad: bool = Field(False, description="leave out and count records that can't be read")
    synthetic_records: int = Field(200, ge=40, description="size of the synthetic set")
    synthetic_samples: int = Field(15000, ge=500, description="length of a synthetic record")
    evaluate_every: int = Field(0, ge=0, description="epochs between evaluations; 0: at the end")
