"""Heart-murmur detection: murmur (present, unknown, absent) and outcome from heart sounds.

*What*: log-mel spectrograms of stretches of each recording; EfficientNet-B0 or B2, ResNet18 or 34
of any width; a hidden layer and two heads, five logits side by side; focal loss or cross-entropy.
`preset=report` are the settings of a report (B0, 128 mel bands, 4 s, batch 32, 50 epochs);
`preset=small` a thin network on smaller pictures, for machines without much time.
*Data*: CirCor DigiScope (`ID.txt` and its wav files), or synthetic heart sounds. Spectrograms are
made once and kept as 16-bit floats. Patients, never recordings, are dealt into `folds` by murmur
and outcome; who took part twice ("Additional ID") counts once. Fold `fold` is the test part, the
next one chooses the weights, the others are trained on. A recording has its patient's labels.
*Metric*: the challenge's weighted accuracy of the murmur (5, 3 and 1 for a patient whose murmur is
present, unknown, absent). A patient's probabilities are the mean over its stretches; decided is the
class whose probability times weight is highest. The other metrics and AUROCs stand beside it.
Deployed are the weights with the highest mean of murmur and outcome accuracy on the validation
part; of equal ones, those with the lowest loss there.
*Source*: Reyna et al., Heart Murmur Detection from Phonocardiogram Recordings (the challenge of
2022); Oliveira et al., The CirCor DigiScope Dataset, 2022; Tan and Le, EfficientNet, ICML 2019; He
et al., CVPR 2016 (ResNet); Lin et al., ICCV 2017 (focal loss).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from bench.baseline import Dataset, Settings, Target

if TYPE_CHECKING:
    import torch

    from bench.job import Job

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
WINNERS = 0.78
"""The challenge's best weighted accuracy of the murmur, on its hidden patients."""


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
        "resnet18", description="the network before the heads"
    )
    width: float = Field(
        0.25, ge=0.05, le=4, description="factor of its channels",
        json_schema_extra={"scales": "width"},
    )  # fmt: skip
    weights: Path | None = Field(
        None, description="the backbone's weights (.safetensors), named as torchvision or timm do"
    )
    hidden: int = Field(64, ge=1, description="units of the layer that both heads share")
    dropout: float = Field(0.3, ge=0, lt=1, description="before that layer and behind it")
    mels: int = Field(32, ge=8, le=256, description="mel bands of a spectrogram")
    hop_ms: int = Field(20, ge=4, le=100, description="milliseconds from one frame to the next")
    seconds: float = Field(4.0, gt=0, le=30, description="length of a stretch")
    stretches: int = Field(4, ge=1, description="of a recording, at most, evenly spread")
    loss: Literal["focal", "cross-entropy"] = Field("focal", description="of both heads")
    gamma: float = Field(2.0, ge=0, le=5, description="focal: how little what is sure counts")
    batch_size: int = Field(32, ge=2, description="stretches a step; a last smaller one is dropped")
    lr: float = Field(1e-3, gt=0, description="learning rate of AdamW")
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


class Murmur:
    """The baseline `murmur`; see the module's docstring."""

    name = "murmur"
    unit = "stretches"
    target = Target("murmur_weighted_accuracy", WINNERS, (0.0, 1.0))
    settings = MurmurSettings
    preload: ClassVar[tuple[str, ...]] = ("baselines.murmur.training",)

    def prepare(self, settings: MurmurSettings) -> tuple[MurmurSettings, tuple[str, ...]]:
        """Find the patients and make their spectrograms; raise `BenchError` for unusable ones."""
        from baselines.murmur.sources import resolve, spectrograms

        name, notices = resolve(settings.dataset, settings.data_dir)
        settings = settings.model_copy(update={"dataset": name})
        _, news = spectrograms(settings)
        return settings, (*notices, *news)

    def job(self, settings: MurmurSettings, device: torch.device, seed: int) -> Job:
        """Build a fresh training run of `settings`."""
        from baselines.murmur.training import build

        return build(settings, device, seed)

    def datasets(self, data_dir: Path | None) -> list[Dataset]:
        """List CirCor where it is found, and the synthetic set."""
        from baselines.murmur.sources import found

        return found(data_dir)

    def target_for(self, settings: MurmurSettings) -> Target:
        """Return the value worth reaching, which is known for real patients."""
        known = settings.dataset != "synthetic"
        return replace(self.target, value=self.target.value if known else None)
