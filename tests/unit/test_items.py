"""Test items: what a trial stores of them, how pairs are made of them, and what they decide."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from baselines.murmur import scoring
from baselines.timehut import evaluation
from bench.analysis.comparison import compare
from bench.analysis.evidence import evidence_of
from bench.analysis.items import Items, by_items
from bench.analysis.levels import Rule
from bench.analysis.paired_items import paired_items
from bench.analysis.pairs import matched
from bench.analysis.results import ArmResult
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.data.loaders import _scored
from bench.job import Job, Progress
from bench.metrics import ItemMean
from bench.records.item_scores import ByItem, ItemScores
from bench.records.measurement import BASELINE, Advice, Measurement
from bench.trial.item_scores import packed_scores, told_of_items
from bench.trial.training import train
from optimizers.ema import Ema
from tests.jobs import linear_job
from tests.records import LOSSES, losses_of, measurement

ACCURACY = Target("accuracy")
N = 624
RIGHT = np.arange(N) % 10 > 0
"""Nine of ten items, which is not quite the metric of the records: it is their mean here."""
ORDER = np.arange(N)


def kept_of(scores: Any, metric: float, order: Any = ORDER) -> ItemScores | str | None:
    return packed_scores({"accuracy": ItemMean(scores, order, metric)}, "accuracy")


def stored(scores: Any) -> dict[str, Any]:
    """Return what a trial records of scores."""
    packed = kept_of(scores, float(np.mean(scores)))
    assert isinstance(packed, ItemScores)
    return {
        "metric": float(np.mean(scores)),
        "item_scores": packed,
        "finish_updates": 0,
        "learns": False,
    }


def changed(rows: slice) -> Any:
    """Return the answers with those of some items turned round."""
    other = RIGHT.copy()
    other[rows] = ~other[rows]
    return other


def trials(candidates: list[Any], *, same: bool = True, **changes: Any) -> list[Measurement]:
    """Return pairs with a candidate whose file is smaller, of the same training or of another."""
    found = []
    for pair, scores in enumerate(candidates):
        losses = losses_of(pair)
        facts = {
            "effect": "model",
            "losses": losses if same else tuple(loss * 1.01 for loss in losses),
            "model_bytes": 10,
            **stored(scores),
            **changes,
        }
        found.append(measurement(pair=pair, model_bytes=100, **stored(RIGHT)))
        found.append(measurement("small", pair, **{**facts, **changes}))
    return found


def judged(own: list[Measurement], rule: Rule, margin: float = 0.01) -> ArmResult:
    (result,) = compare(own, margin, ACCURACY, rules={"test": rule}).arms
    return result


def test_right_and_wrong_take_a_bit_an_item_and_other_scores_two_bytes() -> None:
    bits = kept_of(torch.from_numpy(RIGHT), RIGHT.mean())
    halves = kept_of(RIGHT * 0.75, RIGHT.mean() * 0.75)
    assert isinstance(bits, ItemScores)
    assert isinstance(halves, ItemScores)
    assert (bits.coding, len(bits.packed)) == ("bits", 104)
    assert (halves.coding, len(halves.packed)) == ("float16", 1664)
    assert np.array_equal(bits.values(), RIGHT)
    assert np.array_equal(halves.values(), RIGHT * 0.75)


def test_a_mean_of_items_is_a_number_that_is_copied_with_its_scores() -> None:
    weights = torch.tensor([0.5, 1.0], requires_grad=True)
    mean = copy.deepcopy(ItemMean(weights, order=[3, 7]))
    assert (mean, mean.scores.tolist(), mean.order) == (0.75, [0.5, 1.0], [3, 7])


@pytest.mark.parametrize(
    ("scores", "metric", "said"),
    [
        (RIGHT, 0.5, "their mean 0.899038 is not the accuracy, 0.5"),
        (RIGHT[:5], 0.8, "scores of the shape (5,) in an order of the shape (624,)"),
        (RIGHT * 1e6, RIGHT.mean() * 1e6, "a score of 1e+06 is too large for float16"),
        (RIGHT * np.nan, 0.9, "a score is not finite"),
    ],
)
def test_scores_that_do_not_make_the_metric_are_not_stored_and_why_is_said(
    scores: Any, metric: float, said: str
) -> None:
    with np.errstate(all="ignore"):
        found = kept_of(scores, metric)
    assert isinstance(found, str)
    assert said in found


def test_damaged_scores_are_refused() -> None:
    whole = kept_of(RIGHT, RIGHT.mean())
    assert isinstance(whole, ItemScores)
    for change in ({"count": N + 8}, {"count": N - 1}, {"packed": "?"}, {"coding": "float16"}):
        with pytest.raises(ValidationError):
            ItemScores.model_validate({**whole.model_dump(), **change})


def test_a_measurement_with_scores_is_read_as_it_was_written_and_one_without_too() -> None:
    with_scores = trials([RIGHT])[1]
    read = Measurement.model_validate_json(with_scores.model_dump_json(), strict=True)
    assert read == with_scores
    old = with_scores.model_dump(mode="json", exclude={"item_scores", "finish_updates", "learns"})
    assert Measurement.model_validate(old).item_scores is None


def test_a_converted_model_is_judged_by_the_items_of_one_pair() -> None:
    found = judged(trials([changed(slice(0, 1))]), Rule(1, 1))
    assert (found.verdict, found.judged_by, found.test_items) == (Verdict.WIN, "items", N)
    assert found.metric_difference is not None
    assert found.metric_difference.middle == pytest.approx(1 / N)
    assert judged(trials([RIGHT], same=False), Rule(1, 1)).verdict is Verdict.UNDECIDED


def test_a_converted_model_that_loses_beyond_the_margin_is_a_loss_by_one_pair() -> None:
    found = judged(trials([changed(slice(1, 40))]), Rule(1, 1))
    assert (found.verdict, found.judged_by) == (Verdict.ACCURACY_LOSS, "items")


def test_the_items_of_one_training_are_counted_once_whatever_seeds_it_was_given() -> None:
    one = trials([changed(slice(0, 1))])
    again = [t.model_copy(update={"pair": n, "seed": n}) for n in range(4) for t in one]
    alone, four = (
        evidence_of(matched(own, "small"), "step", 0.01, None, ACCURACY).quality.estimate(4)
        for own in (one, again)
    )
    assert int(four.known) == int(alone.known) == 1
    assert float(four.error) == float(alone.error)


def test_a_retrained_model_is_kept_in_few_pairs_by_seeds_and_items() -> None:
    answers = [changed(slice(n, n + 3)) for n in range(10, 50, 10)]
    by_both = judged(trials(answers, same=False), Rule(4, 4))
    without = [t.model_copy(update={"item_scores": None}) for t in trials(answers, same=False)]
    assert by_both.judged_by == "seeds and items"
    alone = judged(without, Rule(4, 4))
    assert (alone.judged_by, alone.test_items) == ("seeds", 20)
    assert by_both.metric_difference is not None
    assert alone.metric_difference is not None
    assert by_both.metric_difference.middle == alone.metric_difference.middle


@pytest.mark.parametrize(
    "changes",
    [
        {"item_scores": None},
        {"metric": 0.5},
        {"item_scores": kept_of(RIGHT, float(RIGHT.mean()), ORDER[::-1])},
    ],
)
def test_pairs_without_the_same_items_are_judged_as_before(changes: dict[str, Any]) -> None:
    own = trials([RIGHT, RIGHT], **changes)
    assert paired_items(matched(own, "small"), ACCURACY) is None


@pytest.mark.parametrize(
    "changes", [{"finish_updates": 1}, {"learns": True}, {"learns": None}, {"losses": LOSSES[:16]}]
)
def test_what_trains_otherwise_is_not_converted(changes: dict[str, Any]) -> None:
    items = paired_items(matched(trials([RIGHT], **changes), "small"), ACCURACY)
    assert items is not None
    assert items.way == "retrained"


def test_a_conversion_that_changes_no_answer_is_not_sure_beyond_its_items() -> None:
    right = np.ones(N, bool)
    own = [measurement(**stored(right)), measurement("small", **stored(right))]
    items = paired_items(matched(own, "small"), ACCURACY)
    assert items is not None
    found = by_items(np.array([0.0]), 0.5 / N, 0.01, items)
    assert float(found.error) == pytest.approx(np.sqrt(0.0099 / N))


def test_the_error_of_converted_right_and_wrong_is_tangos() -> None:
    # 3 won and 9 lost of 345 at a loss of 0.01: T = (9 - 3 - 3.45) / sqrt(345 (2 q + 0.0099))
    items = Items(345, np.array([12 / 345]), "converted")
    found = by_items(np.array([-6 / 345]), 0.5 / 345, 0.01, items)
    won, lost, loss = 3 / 345, 9 / 345, 0.01
    linear = (2 + won - lost) * loss - won - lost
    share = (np.sqrt(linear**2 + 8 * won * loss * (1 - loss)) - linear) / 4
    assert float(found.error) == pytest.approx(np.sqrt((2 * share + 0.0099) / 345))
    grid = np.linspace(1e-6, 0.05, 50_000)
    likely = (
        won * np.log(grid) + lost * np.log(grid + loss)
        + (1 - won - lost) * np.log(1 - 2 * grid - loss)
    )  # fmt: skip
    assert share == pytest.approx(grid[likely.argmax()], abs=1e-5)


def test_the_variance_over_seeds_is_moderated_as_if_six_more_had_shown_the_items_own() -> None:
    d = np.array([0.0, -0.01, 0.004])
    squares = np.array([0.02, 0.03, 0.02])
    found = by_items(d, 0.0, 0.01, Items(345, squares, "retrained"))
    alone = float((squares - d**2).mean()) / 345 + 0.002**2
    variance = (6 * alone + 2 * d.var(ddof=1)) / 8
    assert float(found.error) == pytest.approx(np.sqrt(variance / 3))
    assert found.more == 6


def test_lower_and_relative_metrics_change_by_item_as_the_margin_counts() -> None:
    target = Target("loss", direction="lower", relative_margin=0.02)
    before, after = np.full(N, 4.0), np.full(N, 3.0)
    own = [measurement(BASELINE, **stored(before)), measurement("a", **stored(after))]
    items = paired_items(matched(own, "a"), target)
    assert items is not None
    assert not items.binary
    assert items.squares.tolist() == [0.0625]
    assert items.reach == pytest.approx(0.25)


def scored_job(**parts: Any) -> Job:
    """Return a job of which the evaluation tells its items."""
    job = linear_job(**parts)

    def evaluate(model: torch.nn.Module) -> dict[str, float]:
        batch = next(iter(linear_job().batches(Progress(1))))
        return {"accuracy": ItemMean(model(batch.x).argmax(1) == batch.y, order=batch.y)}

    return replace(job, evaluate=evaluate)


def tuned(job: Job, model: torch.nn.Module) -> torch.nn.Module:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for _ in range(3):
        optimizer.step()
    return model


@pytest.mark.parametrize(("parts", "updates"), [({}, 0), ({"finish": tuned}, 3)])
def test_a_trial_stores_scores_and_how_often_it_was_trained_on_after_its_last_step(
    parts: dict[str, Any], updates: int
) -> None:
    result = train(scored_job(**parts))
    advice, told = told_of_items(result, "accuracy", [], Advice())
    assert isinstance(told, ByItem)
    assert told.item_scores is not None
    assert told.item_scores.mean_is(result.evaluations[-1].values["accuracy"])
    assert (told.finish_updates, told.learns, advice) == (updates, False, Advice())


def test_why_scores_are_not_stored_is_a_fact_of_the_trial() -> None:
    result = train(scored_job())
    result.found = {"accuracy": ItemMean([1.0, 0.0], order=[0, 1], value=2.0)}
    advice, told = told_of_items(result, "accuracy", [Ema()], Advice(unknown={"inference": "slow"}))
    assert isinstance(advice, Advice)
    why = {"inference": "slow", "item_scores": "their mean 0.5 is not the accuracy, 2"}
    assert advice.unknown == why
    assert told == ByItem(finish_updates=0, learns=True)


def test_a_metric_of_loaders_that_is_one_number_an_item_is_their_mean() -> None:
    targets = torch.tensor([0, 1, 1, 0])
    found = _scored({"accuracy": targets == 1, "loss": torch.tensor(0.25)}, targets)
    assert found == {"accuracy": 0.5, "loss": 0.25}
    assert isinstance(packed_scores(found, "accuracy"), ItemScores)
    assert packed_scores(found, "loss") is None
    assert _scored({"loss": torch.tensor([0.25])}, targets) == {"loss": 0.25}


def test_the_baselines_of_which_the_metric_is_a_mean_over_items_tell_these() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 3)).astype(np.float32), np.arange(40) % 2
    found = evaluation.metrics(x, y, x, y)
    assert isinstance(packed_scores(found, "accuracy"), ItemScores)
    murmur, outcome = (random.dirichlet(np.ones(n), 40).astype(np.float32) for n in (3, 2))
    patients = scoring.scores(murmur, outcome, np.arange(40) % 3, y)
    weighted = packed_scores(patients, "murmur_weighted_accuracy")
    assert isinstance(weighted, ItemScores)
    assert (weighted.coding, weighted.count) == ("float16", 40)
