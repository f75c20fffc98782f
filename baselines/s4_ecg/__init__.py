"""S4 on ECG: a state-space encoder and a small head name the diagnoses of 12-lead ECGs.

*What*: a residual stack of bidirectional S4 layers, pooled over time, and an MLP; five diagnostic
superclasses, several of which may hold for one record. `size=initial` (36 layers, 256 channels,
batch 16) and `size=optimized` (12, 128, batch 32: 4,004,613 parameters, 34,309 of them in the head)
are a report's two configurations, which train the head on a frozen random encoder; `size=small` is
three layers of 64 channels, trained whole, for machines without much time.
*Data*: PTB-XL at 100 Hz, 1000 samples of 8 leads, folds 1-8 / 9 / 10 (`--data-dir` with
`ptbxl_database.csv`; `fold` tests on another one); without it a synthetic ECG of the same shape,
named `synthetic`.
*Metric*: macro AUROC over the classes present in the test part; the weights with the lowest
validation loss are deployed. xresnet1d101 reaches 0.928 when trained on the full set.
*Audit* of that report (36 to 12 layers, "54 to 13 s a batch, 4x", "16 to 3 h, 5.3x", "5,631,717
parameters, about 10 % trained, 17.16 MB"): 5,631,717 counts the buffers of the published code in;
4,004,613 are parameters, 34,309 of them, 0.86 %, train. In float32 the former are 22.53 MB, the
latter 16.02 MB. 54 / 13 s is 4.15x for batches of 16 and of 32, so 8.3x an epoch. 17,418 records
are 544 batches of 32: at 13 s ten epochs take 19.6 h, not 3; "16 h" is one epoch of 1,088 batches
of 16 at 54 s. Tests compute the counts.
*Quality* over all ten folds of 500 records, three seeds (`tests/benchmarks/bench_s4_folds.py`;
intervals over seeds): a head on a random frozen encoder of 3 layers 0.818 [0.791, 0.846] with 128
channels (0.833 [0.824, 0.842] over eight other seeds), 0.845 [0.843, 0.848] with 256 and 512
features (0.827 with `kernel=s4d`, five other seeds); 3 layers of 32 channels trained whole on
windows of 2.5 s, with mixup and a cosine, 0.865 [0.858, 0.873], above the first by 0.047 [0.017,
0.077], above the wide one by 0.020 [0.012, 0.028] (over folds [0.006, 0.034]). On whole series
instead of windows it had 0.847 [0.840, 0.854] (eight seeds), no better than the wide one.
*Source*: the S4 stack of SSSD-ECG, Alcaraz & Strodthoff, 2023; Gu et al., ICLR 2022 (S4) and
NeurIPS 2022 (S4D); PTB-XL: Wagner et al., Scientific Data 2020, and Strodthoff et al., JBHI 2021.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from bench.baseline import Dataset, Settings, Target

if TYPE_CHECKING:
    import torch

    from bench.job import Job

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


class S4ECG:
    """The baseline `s4-ecg`; see the module's docstring."""

    name = "s4-ecg"
    unit = "records"
    target = Target("macro_auroc", 0.83, (0.0, 1.0))
    settings = S4ECGSettings
    preload: ClassVar[tuple[str, ...]] = ("baselines.s4_ecg.training",)

    def prepare(self, settings: S4ECGSettings) -> tuple[S4ECGSettings, tuple[str, ...]]:
        """Resolve which data set is meant; raise `BenchError` when it can't be had."""
        from baselines.s4_ecg.sources import resolve

        name, notices = resolve(settings.dataset, settings.data_dir)
        return settings.model_copy(update={"dataset": name}), notices

    def job(self, settings: S4ECGSettings, device: torch.device, seed: int) -> Job:
        """Build a fresh training run of `settings`."""
        from baselines.s4_ecg.training import build

        return build(settings, device, seed)

    def datasets(self, data_dir: Path | None) -> list[Dataset]:
        """List PTB-XL where it is found, and the synthetic set."""
        from baselines.s4_ecg.sources import found

        return found(data_dir)

    def target_for(self, settings: S4ECGSettings) -> Target:
        """Return the value worth reaching on real records; synthetic ones have none."""
        value = None if settings.dataset == "synthetic" else self.target.value
        return replace(self.target, value=value)
