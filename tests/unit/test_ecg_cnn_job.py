"""The ECG CNN's networks, parts, losses and training."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.ecg_cnn import ECGCNN, ECGCNNSettings
from baselines.ecg_cnn.data import DEAL, choose_classes, parts_of
from baselines.ecg_cnn.network import Network, dense, features
from baselines.ecg_cnn.settings import NETWORKS
from baselines.ecg_cnn.training import cross_entropy, focal
from bench.errors import BenchError
from bench.job import Job, Progress
from bench.metrics import macro_f1, recalls
from bench.model.best_weights import BestWeights
from bench.trial.training import train
from tests.contract.cases import CPU, SMALL
from tests.ecg_records import write_record

PARTS = ("deep", "residual", "squeeze", "attention", "attention_scale")


def network(width: int = 64, **switches: Any) -> Network:
    encoder, channels = features(width, **{name: switches[name] for name in PARTS})
    return Network(encoder, dense(channels, 19, switches["extra_dense"]))


def stages(model: Network) -> torch.nn.Sequential:
    """Return what comes before the pooling over time, in evaluation mode."""
    found = model.eval().features
    assert isinstance(found, torch.nn.Sequential)
    return torch.nn.Sequential(*list(found)[:-1])


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def job(**settings: Any) -> Job:
    return ECGCNN().job(ECGCNNSettings(**{**SMALL["ecg-cnn"], **settings}), CPU, 0)


def test_simple_has_the_report_s_number_of_parameters() -> None:
    assert parameters(network(**NETWORKS["simple"])) == 378_707


def test_complex_has_about_as_many_as_the_report_s() -> None:
    assert parameters(network(**NETWORKS["complex"])) == 5_898_287


@pytest.mark.parametrize("switch", [*PARTS, "extra_dense"])
def test_each_removal_is_a_switch_of_its_own(switch: str) -> None:
    whole = network(8, **NETWORKS["complex"])
    without = network(8, **{**NETWORKS["complex"], switch: False})
    x = torch.randn(2, 12, 320)
    whole.eval(), without.eval()
    assert without(x).shape == whole(x).shape == (2, 19)
    if switch == "attention_scale":
        assert parameters(without) == parameters(whole)
        assert stages(without)[-1].scale == 1.0
    else:
        assert parameters(without) < parameters(whole)


def test_a_network_fills_only_the_switches_that_are_left_out() -> None:
    settings = ECGCNNSettings(network="complex", squeeze=False)
    assert (settings.attention, settings.squeeze, settings.loss) == (True, False, "focal")


def test_attention_mixes_what_is_far_apart() -> None:
    torch.manual_seed(0)
    switches = {**NETWORKS["simple"], "attention": True}
    x = torch.randn(1, 12, 800)
    y = x.clone()
    y[:, :, 700:] += 1
    with_it, without = (stages(network(8, **s)) for s in (switches, NETWORKS["simple"]))
    assert torch.equal(without(x)[:, :, :50], without(y)[:, :, :50])
    assert not torch.equal(with_it(x)[:, :, :50], with_it(y)[:, :, :50])


def test_focal_loss_is_that_of_the_paper() -> None:
    logits, labels = torch.tensor([[1.2, -0.4]]), torch.tensor([[1.0, 0.0]])
    p = logits.sigmoid()
    expected = torch.stack(
        [-0.25 * (1 - p[0, 0]) ** 2 * p[0, 0].log(), -0.75 * p[0, 1] ** 2 * (1 - p[0, 1]).log()]
    )
    assert torch.allclose(focal(logits, labels)[0], expected)
    assert (focal(logits, labels) < cross_entropy(logits, labels)).all()


def test_the_most_frequent_scored_labels_are_chosen_and_the_rest_is_told() -> None:
    own = [("AF", "428750005"), ("AF", "NSR"), ("NSR",), ("PAC",), ("NSR", "428750005")]
    classes, notes = choose_classes(own, 2)
    assert classes == ("NSR", "AF")
    assert "left out as less frequent: PAC" in notes[1]
    assert "no record has it: AFL, BBB" in notes[2]


def test_records_are_dealt_out_14_3_3_of_20_and_a_frequent_label_is_in_each_part() -> None:
    assert [DEAL.count(part) for part in ("train", "validation", "test")] == [14, 3, 3]
    table = np.zeros((100, 3), np.float32)
    table[:, 0] = 1
    table[:20, 1] = 1
    table[:10, 2] = 1
    parts = parts_of([""] * 100, table)
    assert {p: int((parts == p).sum()) for p in set(parts)} == {
        "train": 70, "validation": 15, "test": 15
    }  # fmt: skip
    for part in ("train", "validation", "test"):
        assert table[parts == part].sum(0).min() >= 1


def test_a_part_does_not_depend_on_the_training_seed() -> None:
    one, other = (ECGCNN().job(ECGCNNSettings(**SMALL["ecg-cnn"]), CPU, seed) for seed in (0, 1))
    assert torch.equal(one.sample(3)[0], other.sample(3)[0])
    rows = [torch.cat(list(j.fixed.rows(Progress(1)))) for j in (one, other) if j.fixed]
    assert not torch.equal(rows[0], rows[1])


def test_eager_and_lazy_give_the_same_batches() -> None:
    eager, lazy = job(loading="eager"), job(loading="lazy")
    pairs = zip(eager.batches(Progress(1)), lazy.batches(Progress(1)), strict=True)
    for one, other in pairs:
        assert torch.equal(one.signals, other.signals)
        assert torch.equal(one.labels, other.labels)


def test_training_learns_and_gives_all_metrics() -> None:
    result = train(job(epochs=12, lr=3e-3, width=8, synthetic_records=100))
    values = result.evaluations[-1].values
    assert {"macro_auroc", "macro_f1"} <= set(values)
    assert values["macro_auroc"] > 0.55
    assert result.losses[-1] < result.losses[0]


def test_training_stops_and_halves_the_rate_where_the_validation_loss_stalls() -> None:
    made = job(epochs=30, patience=3, plateau_patience=1)
    seen: list[float] = []
    constant = [1.0, *[2.0] * 30]
    values = iter(constant)

    def validate(model: torch.nn.Module) -> float:
        return next(values)

    def note(old: Any) -> Any:
        def schedule(optimizer: Any, progress: Progress) -> None:
            old(optimizer, progress)
            seen.append(optimizer.param_groups[0]["lr"])

        return schedule

    made = made.wrap("schedule", note, by="test").wrap("validate", lambda _: validate, by="test")
    assert train(made).progress.epoch == 4
    assert seen[0] == seen[1]
    assert all(after == before / 2 for before, after in pairwise(seen[1:]))


def test_the_weights_and_the_buffers_of_the_best_epoch_come_back() -> None:
    made, best = job(), BestWeights()
    losses = iter([2.0, 1.0, 3.0])
    made = made.wrap("validate", lambda _: lambda model: next(losses), by="test")
    buffer = dict(made.model.named_buffers())["features.0.convs.1.running_mean"]
    for epoch in (1, 2, 3):
        buffer.fill_(epoch)
        assert not best.look(made, Progress(9, epoch))
    best.restore(made, made.model)
    assert best.epoch == 2
    assert (buffer == 2).all()


def test_the_metrics_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score, recall_score

    random = np.random.default_rng(0)
    scores = random.normal(size=(60, 4)).astype(np.float32)
    labels = (random.random((60, 4)) < 0.3).astype(np.float32)
    assert macro_f1(scores, labels) == pytest.approx(f1_score(labels, scores > 0, average="macro"))
    expected = recall_score(labels, scores > 0, average=None)
    assert recalls(scores, labels) == pytest.approx(list(expected))


def test_a_class_without_positives_has_no_recall_and_counts_in_no_mean() -> None:
    scores, labels = np.ones((3, 2), np.float32), np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    assert recalls(scores, labels) == [1.0, None]
    assert macro_f1(scores, labels) == pytest.approx(0.8)


def test_too_few_records_are_one_line(tmp_path: Path) -> None:
    for number in range(3):
        write_record(tmp_path, f"R{number}", dx="AF" if number else "Normal")
    with pytest.raises(BenchError, match="batch_size=8 is larger than the training part"):
        ECGCNN().job(ECGCNNSettings(dataset=str(tmp_path)), CPU, 0)


def test_records_without_two_labels_are_one_line(tmp_path: Path) -> None:
    for number in range(12):
        write_record(tmp_path, f"R{number}")
    with pytest.raises(BenchError, match="1 scored labels; at least 2"):
        ECGCNN().job(ECGCNNSettings(dataset=str(tmp_path)), CPU, 0)
