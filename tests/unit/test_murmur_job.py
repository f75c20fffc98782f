"""Murmur's folds, metrics, losses and training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from baselines.murmur import Murmur, MurmurSettings, data
from baselines.murmur.data import HEADS, stretches
from baselines.murmur.folds import deal, parts
from baselines.murmur.losses import cross_entropy, focal, of_heads
from baselines.murmur.scoring import (
    MURMUR_WEIGHTS,
    OUTCOME_WEIGHTS,
    decide,
    outcome_cost,
    scores,
    weighted_accuracy,
)
from baselines.murmur.settings import PRESETS
from baselines.murmur.sources import spectrograms
from bench.errors import BenchError, NotApplicable
from bench.job import Job, Progress
from bench.model.best_weights import BestWeights
from bench.targets import Targets
from bench.trial.training import train
from tests.contract.cases import CPU, SMALL, Case
from tests.heart_records import write_patient, write_patients


def settings(**values: Any) -> MurmurSettings:
    return MurmurSettings(**{**SMALL["murmur"], **values})


def job(**values: Any) -> Job:
    return Murmur().job(settings(**values), CPU, 0)


def test_no_person_is_on_both_sides_of_any_split_of_real_patients(circor: Path) -> None:
    found, _ = spectrograms(MurmurSettings(dataset="circor", data_dir=circor))
    people = np.array(found.people)
    labels = list(zip(found.murmur.tolist(), found.outcome.tolist(), strict=True))
    for count in range(3, 11):
        folds, tested = deal(found.people, labels, count), list[int]()
        for fold in range(count):
            made = parts(folds, count, fold)
            sides = [{*people[rows]} for rows in made.values()]
            assert all(sides)
            assert sum(map(len, sides)) == len({*found.people}) == 79
            assert sum(map(len, made.values())) == 80
            tested += made["test"].tolist()
        assert sorted(tested) == list(range(80))


def test_parts_hold_the_stretches_of_their_own_patients_only(tmp_path: Path) -> None:
    folder = write_patients(tmp_path / "x")
    write_patient(folder, "500", "Present", "Normal", other="501")
    write_patient(folder, "501", "Absent", "Normal", other="500")
    for fold in range(5):
        own = settings(dataset=str(folder), fold=fold, stretches=2)
        made = data.load(own)
        names = [part.names for part in (made.train, made.validation, made.test)]
        assert sorted(sum(names, ())) == sorted(p.stem for p in folder.glob("*.txt"))
        assert any({"500", "501"} <= {*side} for side in names)
        for part in (made.train, made.validation, made.test):
            assert {*part.patients.tolist()} == {*range(len(part.names))}


def test_folds_hold_the_labels_in_equal_shares() -> None:
    labels = [(n % 3, n // 3 % 2) for n in range(90)]
    folds = deal([str(n) for n in range(90)], labels, 5)
    for kind in {*labels}:
        held = np.bincount(folds[[label == kind for label in labels]], minlength=5)
        assert held.tolist() == [3] * 5


def test_folds_do_not_depend_on_the_order_of_patients() -> None:
    people, labels = [str(n) for n in range(20)], [(n % 3, n % 2) for n in range(20)]
    one, other = deal(people, labels, 4), deal(people[::-1], labels[::-1], 4)
    assert one.tolist() == other[::-1].tolist()


def test_a_fold_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValidationError, match="fold=5 is none of 5 folds"):
        MurmurSettings(fold=5)


def test_the_weighted_accuracy_of_a_worked_example() -> None:
    truth = np.array([0, 0, 1, 2, 2])
    said = np.array([0, 2, 1, 2, 0])
    assert weighted_accuracy(truth, said, MURMUR_WEIGHTS) == pytest.approx((5 + 3 + 1) / 15)
    assert weighted_accuracy(np.array([0, 1, 1]), np.array([0, 0, 1]), OUTCOME_WEIGHTS) == (
        pytest.approx(6 / 7)
    )


def test_the_outcome_cost_of_a_worked_example() -> None:
    """Half of four patients see an expert: 25 + 198.5 - 429.5 + 706 = 500 each of all."""
    truth, said = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert outcome_cost(truth, said) == pytest.approx(10 + 500 + 10_000 / 4 + 50_000 / 4)
    everyone = outcome_cost(truth, np.zeros(4, int))
    assert everyone == pytest.approx(10 + (25 + 397 - 1718 + 11296) + 10_000 / 2)
    assert outcome_cost(truth, np.ones(4, int)) == pytest.approx(10 + 25 + 50_000 / 2)


def test_decisions_weigh_probabilities() -> None:
    likely = np.array([[0.2, 0.1, 0.7], [0.1, 0.1, 0.8], [0.1, 0.4, 0.5]], np.float32)
    assert decide(likely, MURMUR_WEIGHTS).tolist() == [0, 2, 1]


def test_certain_and_right_is_the_best_score() -> None:
    murmur, outcome = np.eye(3, dtype=np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0]]
    found = scores(murmur, outcome, np.arange(3), np.array([0, 1, 0]))
    assert all(v == 1 for name, v in found.items() if name != "outcome_cost")


def test_losses_of_classes_are_those_of_torch() -> None:
    logits, classes = torch.randn(6, 3), torch.arange(6) % 3
    targets = functional.one_hot(classes, 3).float()
    expected = functional.cross_entropy(logits, classes, reduction="none")
    assert torch.allclose(cross_entropy(logits, targets), expected, atol=1e-6)
    assert torch.allclose(focal(0.0)(logits, targets), expected, atol=1e-6)
    sure = (-expected).exp()
    assert torch.allclose(focal(2.0)(logits, targets), (1 - sure) ** 2 * expected, atol=1e-6)


def test_heads_are_averaged() -> None:
    logits, targets = torch.randn(4, 5), torch.rand(4, 5)
    murmur = cross_entropy(logits[:, :3], targets[:, :3])
    outcome = cross_entropy(logits[:, 3:], targets[:, 3:])
    found = of_heads(cross_entropy, HEADS)(logits, targets)
    assert torch.allclose(found, (murmur + outcome) / 2)


def test_smoothed_targets_of_heads_are_still_probabilities() -> None:
    targets = torch.tensor([[1.0, 0, 0, 0, 1]])
    smooth = Targets(heads=HEADS).smoothed(targets, 0.3)
    assert torch.allclose(smooth, torch.tensor([[0.8, 0.1, 0.1, 0.15, 0.85]]))


def test_stretches_are_spread_over_a_recording() -> None:
    assert stretches(100, 20, 3) == [0, 40, 80]
    assert stretches(50, 20, 4) == [0, 30]
    assert stretches(10, 20, 4) == [0]


def test_a_short_recording_is_repeated(tmp_path: Path) -> None:
    folder = write_patients(tmp_path / "x")
    part = data.load(settings(dataset=str(folder), seconds=4.0, hop_ms=20)).train
    image = part.images[0, 0]
    assert image.shape == (24, 200)
    assert torch.equal(image[:, :99], image[:, 101:])


def test_a_patient_s_probability_is_the_mean_of_its_stretches() -> None:
    part = data.load(settings(stretches=2)).test
    values = torch.rand(len(part), 3)
    found = part.by_patient(values)
    for patient in range(len(part.names)):
        assert torch.allclose(found[patient], values[part.patients == patient].mean(0))


def test_training_learns_and_gives_all_metrics() -> None:
    made = job(epochs=20, synthetic_patients=60, lr=3e-3, evaluate_every=10)
    result = train(made)
    values = result.evaluations[-1].values
    assert len(result.evaluations) == 2
    assert values["present_auroc"] > 0.9
    assert {"outcome_cost", "outcome_weighted_accuracy", "validation_murmur_accuracy"} <= set(
        values
    )
    assert result.losses[-1] < result.losses[0]


def test_accuracy_chooses_the_weights_and_the_loss_among_equals() -> None:
    made, kept = job(), list[int]()
    ranks = iter([(0.5, 1.0), (0.4, 2.0), (0.4, 1.5), (0.4, 1.5), (0.45, 0.1)])
    best = BestWeights(rank=lambda model: next(ranks))
    for epoch in range(1, 6):
        assert not best.look(made, Progress(9, epoch))
        kept.append(best.epoch)
    assert kept == [1, 2, 3, 3, 3]


def test_the_rate_falls_along_a_cosine() -> None:
    made = job(epochs=4, lr=1.0)
    optimizer = made.make_optimizer(made.model)
    seen = []
    for epoch in range(4):
        made.schedule(optimizer, Progress(4, epoch))
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx([(1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)])


def test_dynamic_lr_replaces_the_baseline_s_own_cosine() -> None:
    case = Case("murmur", SMALL["murmur"])
    assert case.recipe("dynamic-lr:policy=onecycle")[0].settings["lr_decay"] == "none"
    try:
        case.job("dynamic-lr:policy=onecycle")
    except NotApplicable as reason:
        pytest.fail(str(reason))


def test_a_preset_fills_only_what_is_left_out() -> None:
    chosen = MurmurSettings(preset="report", hidden=256)
    assert (chosen.backbone, chosen.mels, chosen.hidden) == ("efficientnet-b0", 128, 256)
    for name, values in PRESETS.items():
        made = MurmurSettings.model_validate({"preset": name})
        assert {key: getattr(made, key) for key in values} == values
    assert MurmurSettings() == MurmurSettings(preset="small")


def test_too_few_patients_are_one_line(tmp_path: Path) -> None:
    folder = write_patients(tmp_path / "x", 6)
    with pytest.raises(BenchError, match="one kind only; folds=5 needs more patients"):
        data.load(settings(dataset=str(folder), batch_size=2))
    with pytest.raises(BenchError, match="batch_size=99 is larger than the training part"):
        job(batch_size=99)


def test_skipped_files_stand_in_the_card(tmp_path: Path) -> None:
    folder = write_patients(tmp_path / "x")
    (folder / "103_AV.wav").unlink()
    notes = data.load(settings(dataset=str(folder), skip_bad=True)).card.notes
    assert any(n.startswith("1 bad files were skipped") and "103_AV.wav" in n for n in notes)
