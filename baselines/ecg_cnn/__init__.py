"""CNN on full-length ECG: up to 19 diagnoses of 12-lead records, from 10 to 60 seconds long.

*What*: two networks of a report that ran out of memory. `network=complex`, its "before": five
stages of two convolutions (64 to 512 channels) with shortcuts, squeeze-and-excitation, temporal
self-attention, focal loss and two dense layers. `network=simple`, its "after": four convolutions,
one dense layer, binary cross-entropy; 378,707 parameters with 19 labels. Each removal is a switch
of its own: attention, attention_scale, squeeze, residual, deep, extra_dense, loss.
*Data*: records of the PhysioNet/CinC challenges 2020 and 2021 (`X.hea` and `X.mat` or `X.dat`, 500
Hz, V, mV or uV as the header says), an HDF5 file of groups with `X`, `labels` and `lengths` (in mV,
or what an attribute `units` says), or synthetic ones. They are packed once into one file, 16 bits a
sample; `loading=eager` keeps all in memory, `lazy` reads what a batch needs.
Records are padded with zeros, or cut, to `length` samples. 14 of 20 are trained on, 3 choose the
weights, 3 are the test part, dealt out by the rarest label of each.
*Metric*: macro AUROC over the labels that the test part tells apart; macro F1 and the recall of the
rarest quarter of the labels stand beside it. The weights with the lowest validation loss are
deployed; the learning rate is halved where that loss stalls, and training stops where it stays.
*Audit* of that report (300 to 100 s an epoch, 21 to 3.5 GB, by all removals): in CPU time of three
pairs on cinc2020 (`tests/benchmarks/bench_ecg_removals.py`) the depth gives 2.9-3.1x and attention
1.1x; shortcuts, squeeze-and-excitation, the scale, dense layers and focal loss give 0.88-1.05x,
baselines measured twice 1.00-1.03x (without shortcuts 1.15x less memory). `simple` with
mixed-precision takes 9.9-11.1x less CPU time at 15,000 samples than `complex`, and 4.7x less
memory. The AUROC of 18 test records tells no difference.
*Source*: the report "19 Labels Full Length CNN"; Perez Alday et al., Physiological Measurement 2020
(the challenge); Hu et al., CVPR 2018 (squeeze-and-excitation); Lin et al., ICCV 2017 (focal loss).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from baselines.ecg_cnn.settings import ECGCNNSettings
from bench.baseline import Dataset, Target

if TYPE_CHECKING:
    import torch

    from bench.deployment import Deployment, Use
    from bench.job import Job

__all__ = ["ECGCNN", "ECGCNNSettings"]


class ECGCNN:
    """The baseline `ecg-cnn`; see the module's docstring."""

    name = "ecg-cnn"
    unit = "records"
    target = Target("macro_auroc", bounds=(0.0, 1.0))
    settings = ECGCNNSettings
    preload: ClassVar[tuple[str, ...]] = ("baselines.ecg_cnn.training",)

    def prepare(self, settings: ECGCNNSettings) -> tuple[ECGCNNSettings, tuple[str, ...]]:
        """Resolve which records are meant and pack them; raise `BenchError` for unusable ones."""
        from baselines.ecg_cnn.sources import packed, resolve

        name, notices = resolve(settings.dataset, settings.data_dir)
        settings = settings.model_copy(update={"dataset": name})
        _, news = packed(settings)
        return settings, (*notices, *news)

    def job(self, settings: ECGCNNSettings, device: torch.device, seed: int) -> Job:
        """Build a fresh training run of `settings`."""
        from baselines.ecg_cnn.training import build

        return build(settings, device, seed)

    def use(self, settings: ECGCNNSettings, deployment: Deployment) -> Use:
        """Return how a trained model is used."""
        from baselines.ecg_cnn.use import ECGCNNUse

        return ECGCNNUse(settings, deployment)

    def datasets(self, data_dir: Path | None) -> list[Dataset]:
        """List the challenges' records where they are found, and the synthetic set."""
        from baselines.ecg_cnn.sources import found

        return found(data_dir)
