"""What the trials of a run tell of a claim: in its unit, by its formula, of all that were made."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.audit import Held
from bench.analysis.findings import more_pairs, of_trials, projected
from bench.analysis.intervals import Interval
from bench.analysis.levels import Rule
from bench.analysis.pairs import ONE_SEED
from bench.data_card import DataCard
from bench.records.audit import Experiment, Measured
from bench.records.measurement import Evaluation, Status
from reports import claimed
from reports.formats import audit as formats
from tests.records import LOSSES, failed, measurement


def experiment(**changes: Any) -> Experiment:
    claim = {"id": "speed", "says": "Twice as fast.", "quantity": "time", "form": "ratio",
             "claimed": 2.0, "measured": {"run": "one", "arm": "fast"}, **changes}  # fmt: skip
    return Experiment.model_validate(
        {"name": "one", "arms": {"fast": {"techniques": ["x"]}}, "trials": "whole",
         "claims": [claim]}
    )  # fmt: skip


def test_a_formula_that_rises_and_falls_is_bounded_by_all_within() -> None:
    told = Measured(run="one", arm="fast", formula="(measured - 1) ** 2")
    assert projected(told, Interval(0.0, 1.5, 2.0)) == Interval(0.0, 0.25, 1.0)
    asked = experiment(
        measured={"run": "one", "arm": "fast", "formula": "1 / (measured - measured)"}
    )
    trials = [t for n in range(4) for t in (measurement(pair=n), measurement("fast", n))]
    (found,) = of_trials(asked, trials, Rule())
    assert (found.held, found.reason[-18:]) == (Held.UNTESTABLE, "a division by zero")


def test_many_lost_trainings_leave_no_claim_shown() -> None:
    def found(lost: int, speed: float) -> Any:
        ended = [measurement(pair=n) for n in range(8)]
        how = [Status.DIVERGED, Status.TIMED_OUT]
        own = [measurement("fast", n, seconds=1 / speed) if n >= lost else failed("fast", n, how[n])
               for n in range(8)]  # fmt: skip
        return of_trials(experiment(), [*ended, *own], Rule())[0]

    assert found(0, 2.0).held is Held.CONFIRMED
    one, two = found(1, 2.0), found(2, 2.0)
    assert (one.held, one.reason) == (
        Held.CONFIRMED, "1 of 8 trainings or pairs gave nothing: they failed, or took too long",
    )  # fmt: skip
    assert (two.held, two.goes_on) == (Held.OPEN, False)
    assert two.reason.endswith("those that ended well don't speak for them")
    assert found(2, 1.0).held is Held.REFUTED


def test_a_value_is_measured_in_the_unit_that_it_is_claimed_in() -> None:
    told = {"run": "one", "arm": "fast"}
    asked = experiment(quantity="training time", form="value", claimed=[1.0, 2.0], unit="min",
                       better="lower", measured=told)  # fmt: skip
    trials = [
        t for n in range(4) for t in (measurement(pair=n), measurement("fast", n, seconds=90))
    ]
    (found,) = of_trials(asked, trials, Rule())
    assert found.found is not None
    assert (found.held, found.found.middle) == (Held.CONFIRMED, 1.5)
    assert claimed.found(found.claim, found.found).endswith(" min")
    bare = found.claim.model_copy(update={"unit": ""})
    assert claimed.claimed(bare) == "1 to 2 s"


def test_equal_values_of_another_metric_are_as_coarse_as_its_test_items() -> None:
    asked = experiment(quantity="metric", of="recall", form="change", claimed=[0.01, None])

    def trial(arm: str, pair: int, recall: float) -> Any:
        last = Evaluation(epoch=1, step=1, train_seconds=1.0, values={"recall": recall})
        data = DataCard("toy", "0" * 64, 80, 16)
        return measurement(arm, pair, metrics=(last,), metric=recall, data=data)

    trials = [trial(arm, n, value) for n in range(4)
              for arm, value in (("baseline", 0.5), ("fast", 0.5625))]  # fmt: skip
    (found,) = of_trials(asked, trials, Rule())
    assert found.held is Held.OPEN
    assert found.found is not None
    assert found.found.low is not None
    assert found.found.low < 0 < found.found.middle


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
def test_equal_values_of_a_metric_with_bounds_are_as_coarse_as_its_test_items(
    bounds: tuple[float, float] | None,
) -> None:
    asked = experiment(quantity="metric", form="change", claimed=[-0.001, None])
    trials = [measurement(a, n, metric=0.8512) for n in range(4) for a in ("baseline", "fast")]
    (found,) = of_trials(asked, trials, Rule(), metric_bounds=bounds)
    assert found.held is (Held.OPEN if bounds else Held.CONFIRMED)


@pytest.mark.parametrize("form", ["change", "value"])
def test_a_metric_of_one_training_again_and_again_tells_no_claim(form: str) -> None:
    asked = experiment(quantity="metric", form=form, claimed=[0.01, None], better="higher")
    trials = [measurement(arm, n, metric=metric, losses=LOSSES) for n in range(6)
              for arm, metric in (("baseline", 0.9), ("fast", 0.95))]  # fmt: skip
    (found,) = of_trials(asked, trials, Rule(), over=False)
    assert (found.held, found.reason, found.goes_on) == (Held.OPEN, ONE_SEED, False)


def test_the_mean_of_shares_is_a_share() -> None:
    asked = experiment(quantity="metric", form="value", claimed=[0.99, None], better="higher")
    data = DataCard("toy", "0" * 64, 80, 16)
    trials = [measurement(arm, n, metric=metric, data=data) for n in range(4)
              for arm, metric in (("baseline", 0.875), ("fast", 0.5 + n / 8))]  # fmt: skip
    (found,) = of_trials(asked, trials, Rule())
    assert found.found is not None
    assert found.found.high == 1.0
    percent = asked.model_copy(
        update={"claims": (asked.claims[0].model_copy(update={"claimed": (98.0, None)}),)}
    )
    (found,) = of_trials(percent, trials, Rule())
    assert (found.held, found.reason[-21:]) == (Held.UNTESTABLE, "1: write 98 % as 0.98")


def test_what_is_not_counted_or_not_evaluated_is_not_testable_and_says_so() -> None:
    def reason(**changes: Any) -> str:
        last = Evaluation(epoch=1, step=1, train_seconds=1.0, values={"recall": 0.5})
        facts: Any = {"model_flops_per_step": 10, "flops_coverage": 0.8, "metrics": (last,)}
        trials = [measurement(arm, **facts) for arm in ("baseline", "fast")]
        (found,) = of_trials(experiment(**changes), trials, Rule())
        assert found.held is Held.UNTESTABLE
        return found.reason

    assert reason(quantity="training FLOPs") == (
        "training FLOPs are counted of 80 % of the work alone"
    )
    assert reason(quantity="metric", form="change", of="recal") == (
        "no metric is named recal; there are: recall"
    )


def test_claims_of_the_baseline_go_on_by_the_pairs_of_an_arm() -> None:
    own = {"run": "one", "arm": "baseline"}
    asked = experiment(quantity="metric", form="value", claimed=[0.9, None], measured=own)
    arms = asked.arms | {"slow": asked.arms["fast"]}
    asked = asked.model_copy(update={"arms": arms})
    assert more_pairs(asked, [], Rule(), list(arms))["fast"] > 0
    told = [measurement(pair=n, metric=0.95 + n / 1000) for n in range(6)]
    assert more_pairs(asked, told, Rule(), list(arms))["fast"] == 0


def test_a_narrow_terminal_loses_columns_and_no_digits() -> None:
    rows = [formats.COLUMNS, ("speed", "2 to 3 s\nor so", "2.5 [2.45, 2.55] s", "confirmed",
                              "other mathematics", "measured")]  # fmt: skip
    assert formats.table(rows, 70) == [
        "claim  claimed         found               verdict",
        "speed  2 to 3 s or so  2.5 [2.45, 2.55] s  confirmed",
    ]
    assert formats.table(rows, 40)[:3] == [
        "speed", "  claimed 2 to 3 s or so", "  found 2.5 [2.45, 2.55] s",
    ]  # fmt: skip
    assert "measured" in formats.table(rows, 100)[1]
