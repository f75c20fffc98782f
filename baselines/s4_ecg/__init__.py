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
from typing import TYPE_CHECKING, ClassVar

from baselines.s4_ecg.settings import S4ECGSettings
from bench.baseline import Dataset, Target

if TYPE_CHECKING:
    import torch

    from bench.deployment import Deployment, Use
    from bench.job import Job

__all__ = ["S4ECG", "S4ECGSettings"]


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

    def use(self, settings: S4ECGSettings, deployment: Deployment) -> Use:
        """Return how a trained model is used."""
        from baselines.s4_ecg.use import S4ECGUse

        return S4ECGUse(settings, deployment)

    def target_for(self, settings: S4ECGSettings) -> Target:
        """Return the value worth reaching on real records; synthetic ones have none."""
        value = None if settings.dataset == "synthetic" else self.target.value
        return replace(self.target, value=value)
