"""X-rays by transfer learning: an image classifier on top of a backbone that may be frozen.

*What*: DenseNet121, MobileNetV2 of any width, or a small network of our own; a head 64 units wide;
one logit for two classes, else one a class. `preset=before` and `preset=after` are a report's two
configurations; `preset=small` is a small network trained whole, for machines without much time.
*Data*: folders ``TASK/train|val|test/CLASS/image`` (`--data-dir`), decoded once into a cache and
turned as EXIF says (16 bits are scaled by those the training part uses, 32 bits are refused); with
several tasks (`--dataset a,b`) each gets its own network, one after the other. Without data:
synthetic images.
*Metric*: AUROC on the test part (mean over classes and tasks); accuracy and that of each class
stand beside it. A 32x32 logistic regression reaches 0.972 on the pneumonia set.
*Audit* of that report ("50-100x faster", 1,464,113 parameters): its own times, 154-198 s and
11-14 s an epoch, are 11-18x an epoch, and 18-30x with 3 epochs for 5. 1,464,113 counts the
moving statistics of batch norm in; 1,437,473 are parameters. Its "after" sees 3 x 50 x 64 = 9,600
images, "before" 5 x 143 x 25 = 17,875: its epoch is a part of one. Its 30 trainable layers count
activations and concatenations; 17 of them have weights. Tests compute the counts. In CPU time of
a whole run, projected from 5 steps of each by `tests/benchmarks/bench_xray_factors.py` on one
thread ("before" was never run whole in float32), each factor alone gives:
architecture 2.7x, size 5.3x, batch 0.67x, epochs 1.7x, steps 2.9x, augmentation 0.98x, freezing
0.98x; all together 20x, with channels-last 34x, and with features cached 16 at once 91x. Trained
to the end, the last takes 8.5 s with `allocator`: 177x. Without it the C library gives memory back
and takes it again in some processes and not in others (4.7 million page faults or 2,000): 16.4 s
or 8.4 s for the same features.
*Quality* on the pneumonia set, test AUROC: "before" (in bf16) 0.972 [0.956, 0.988] over 3 seeds;
"after" over 5 seeds 0.867 [0.843, 0.890] on a random backbone, 0.972 [0.967, 0.978] on one that was
pretrained for two epochs. The rate and the weight decay of "small" had the highest validation AUROC
of nine pairs over 5 seeds (0.9880); its test AUROC is 0.9805 [0.9784, 0.9826].
*Source*: Huang et al., CVPR 2017 (DenseNet); Sandler et al., CVPR 2018 (MobileNetV2); Kermany et
al., Cell 2018 (the pneumonia set).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from baselines.xray.settings import XraySettings
from bench.baseline import Dataset, Target

if TYPE_CHECKING:
    import torch

    from bench.deployment import Deployment, Use
    from bench.job import Job

__all__ = ["Xray", "XraySettings"]


class Xray:
    """The baseline `xray`; see the module's docstring."""

    name = "xray"
    unit = "images"
    target = Target("auroc", 0.98, (0.0, 1.0))
    settings = XraySettings
    preload: ClassVar[tuple[str, ...]] = ("baselines.xray.training",)

    def prepare(self, settings: XraySettings) -> tuple[XraySettings, tuple[str, ...]]:
        """Find the tasks and decode their images, once; raise `BenchError` for unusable ones."""
        from baselines.xray import decoded, sources

        names, notices = sources.resolve(settings.dataset, settings.data_dir)
        for name in names:
            if name != sources.SYNTHETIC:
                task = sources.task(name, settings.data_dir)
                decoded.fill(task, settings.image_size, settings.colour, settings.skip_bad)
        return settings.model_copy(update={"dataset": ",".join(names)}), notices

    def job(self, settings: XraySettings, device: torch.device, seed: int) -> Job:
        """Build a fresh training run of `settings`."""
        from baselines.xray.training import build

        return build(settings, device, seed)

    def datasets(self, data_dir: Path | None) -> list[Dataset]:
        """List the tasks that are found, and the synthetic images."""
        from baselines.xray.sources import found

        return found(data_dir)

    def use(self, settings: XraySettings, deployment: Deployment) -> Use:
        """Return how trained classifiers are used."""
        from baselines.xray.use import XrayUse

        return XrayUse(settings, deployment)

    def target_for(self, settings: XraySettings) -> Target:
        """Return the value worth reaching, which is known for the pneumonia set."""
        known = Path(settings.dataset or "").name == "pneumonia"
        return replace(self.target, value=self.target.value if known else None)
