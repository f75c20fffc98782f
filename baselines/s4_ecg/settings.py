"""What can be changed about an S4 run on ECG."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from bench.baseline import Settings

SIZES: dict[str, Any] = {
    "small": {
        "layers": 3, "residual": 64, "skip": 64, "batch_size": 32, "lr": 1e-3, "frozen": False,
    },
    "optimized": {
        "layers": 12, "residual": 128, "skip": 128, "batch_size": 32, "lr": 1e-4, "frozen": True,
    },
    "initial": {
        "layers": 36, "residual": 256, "skip": 256, "batch_size": 16, "lr": 1e-4, "frozen": True,
    },
}  # fmt: skip
LEADS = "I,II,V1,V2,V3,V4,V5,V6"
LIMB_AND_CHEST = frozenset(
    ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
)


class S4ECGSettings(Settings):
    """What can be changed; `size` fills what is left out of the six settings after it."""

    dataset: str | None = Field(
        None, description="ptbxl, a folder of its layout, or synthetic; default what is there"
    )
    data_dir: Path | None = Field(None, description="folder of PTB-XL, or the one that holds it")
    size: Literal["small", "optimized", "initial"] = Field(
        "small", description="a set of sizes", json_schema_extra={"fills": SIZES}
    )
    layers: int = Field(
        3, ge=1, description="residual blocks", json_schema_extra={"scales": "depth"}
    )
    residual: int = Field(
        64, ge=1, description="channels of the blocks", json_schema_extra={"scales": "width"}
    )
    skip: int = Field(
        64, ge=1, description="channels of the features", json_schema_extra={"scales": "width"}
    )
    batch_size: int = Field(32, ge=1, description="records a step; a last smaller batch is dropped")
    lr: float = Field(1e-3, gt=0, description="learning rate of AdamW")
    frozen: bool = Field(False, description="train only the head")
    kernel: Literal["nplr", "s4d"] = Field(
        "nplr", description="HiPPO-LegS with its low-rank term, or diagonal"
    )
    epochs: int = Field(10, ge=1, description="passes over the training part")
    leads: str = Field(LEADS, description="which eight leads, in which order")
    fold: int = Field(
        10, ge=1, le=10, description="which of PTB-XL's ten is the test part; the one before it, or"
        " 10 before 1, is the validation part",
    )  # fmt: skip
    checkpoint: Path | None = Field(
        None, description="weights to start from (.safetensors, or .pt of tensors alone)"
    )
    skip_bad: bool = Field(
        False,
        description="leave out and count records that can't be read",
        exclude_if=operator.not_,
    )  # left out of recipes while off: they keep the ids that they had without it
    synthetic_records: int = Field(500, ge=20, description="size of the synthetic set")
    evaluate_every: int = Field(0, ge=0, description="epochs between evaluations; 0: at the end")

    @field_validator("leads")
    @classmethod
    def _eight_known_leads(cls, value: str) -> str:
        names = [name.strip().upper() for name in value.split(",")]
        unknown = [name for name in names if name not in LIMB_AND_CHEST]
        if unknown:
            known = "I, II, III, AVR, AVL, AVF, V1 to V6"
            raise ValueError(f"no lead is named {', '.join(unknown)}; there are {known}")
        if len(names) != 8 or len(set(names)) != 8:
            raise ValueError(f"eight different leads are needed, such as {LEADS}")
        return ",".join(names)
