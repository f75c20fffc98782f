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
part; of equal ones, those with the lowest loss there. `--objective quality` searches that report's
table (rate, batch, dropout, hidden units, backbone, γ) by the weighted accuracy of that part.
*Source*: Reyna et al., Heart Murmur Detection from Phonocardiogram Recordings (the challenge of
2022); Oliveira et al., The CirCor DigiScope Dataset, 2022; Tan and Le, EfficientNet, ICML 2019; He
et al., CVPR 2016 (ResNet); Lin et al., ICCV 2017 (focal loss).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from baselines.murmur.settings import MurmurSettings
from bench.baseline import Dataset, Target

if TYPE_CHECKING:
    import torch

    from bench.deployment import Deployment, Use
    from bench.job import Job

__all__ = ["Murmur", "MurmurSettings"]

WINNERS = 0.78
"""The challenge's best weighted accuracy of the murmur, on its hidden patients."""


class Murmur:
    """The baseline `murmur`; see the module's docstring."""

    name = "murmur"
    unit = "stretches"
    target = Target(
        "murmur_weighted_accuracy", WINNERS, (0.0, 1.0),
        chosen_by="validation_murmur_weighted_accuracy",
    )  # fmt: skip
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

    def use(self, settings: MurmurSettings, deployment: Deployment) -> Use:
        """Return how a trained model is used."""
        from baselines.murmur.use import MurmurUse

        return MurmurUse(settings, deployment)

    def target_for(self, settings: MurmurSettings) -> Target:
        """Return the value worth reaching, which is known for real patients."""
        known = settings.dataset != "synthetic"
        return replace(self.target, value=self.target.value if known else None)
