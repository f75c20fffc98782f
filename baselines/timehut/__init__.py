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
from typing import TYPE_CHECKING, ClassVar

from baselines.timehut.settings import TimeHUTSettings
from bench.baseline import Dataset, Target

if TYPE_CHECKING:
    import torch

    from bench.deployment import Deployment, Use
    from bench.job import Job

__all__ = ["TimeHUT", "TimeHUTSettings"]

TARGETS = {"Chinatown": 0.9796, "UnitTest": 0.9796, "Coffee": 0.99}
"""Accuracies worth reaching, by data set; others have no agreed value."""

SMALL_BATCH = 16
"""Up to so many series a second thread slows a step down (Chinatown 2x, Coffee 1.3x)."""


class TimeHUT:
    """The baseline `timehut`; see the module's docstring."""

    name = "timehut"
    unit = "series"
    target = Target("accuracy", TARGETS["Chinatown"], (0.0, 1.0))
    settings = TimeHUTSettings
    preload: ClassVar[tuple[str, ...]] = (
        "baselines.timehut.training", "sklearn.metrics", "sklearn.model_selection", "sklearn.svm",
    )  # fmt: skip

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

    def use(self, settings: TimeHUTSettings, deployment: Deployment) -> Use:
        """Return how a trained model is used."""
        from baselines.timehut.use import TimeHUTUse

        return TimeHUTUse(settings, deployment)

    def threads_for(self, settings: TimeHUTSettings) -> int | None:
        """Return 1 for small batches, whose operators are too short to share between threads."""
        return 1 if settings.batch_size <= SMALL_BATCH else None

    def target_for(self, settings: TimeHUTSettings) -> Target:
        """Return the accuracy worth reaching on this data set, None where nobody agreed on one."""
        name = "Chinatown" if settings.dataset is None else Path(settings.dataset).name
        return replace(self.target, value=TARGETS.get(name))
