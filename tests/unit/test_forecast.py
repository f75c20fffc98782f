"""What a run would make is told before it is made."""

from __future__ import annotations

from bench.analysis.levels import Rule, rule_of
from bench.cli.forecast import as_text
from bench.records.measurement import CONTROL
from bench.records.ranges import Range
from bench.run.forecast import Forecast, forecast
from bench.run.plan import Contrast, rounds
from bench.run.search_forecast import SearchForecast
from tests.records import header, recipe

PLAIN = recipe()


def planned(budget: float | None = None, rule: Rule | None = None) -> Forecast:
    """Return the forecast of two whole trainings and one arm of steps, with a control."""
    kinds = (("fast", "full"), ("small", "full"), ("same", "step"), (CONTROL, "full"))
    contrasts = [Contrast(arm, recipe(arm), PLAIN, kind) for arm, kind in kinds]  # type: ignore[arg-type]  # kinds
    (first,) = rounds(contrasts, 1, seed=0)
    head = header(budget_seconds=budget)
    return forecast(head, first, rule or Rule(4, 30), {"full": 10.0, "step": 1.0})


def test_a_round_is_counted_with_the_baselines_that_its_blocks_share() -> None:
    found = planned()
    assert (found.arms, found.trials_a_round) == (3, 6)
    assert found.seconds_a_round == 4 * 10.0 + 2 * 1.0
    assert (found.rounds_paid, found.arms_paid) == (None, None)


def test_a_budget_is_told_by_the_pairs_or_by_the_arms_that_it_pays_for() -> None:
    assert (planned(42 * 9 + 1).rounds_paid, planned(42 * 9 + 1).arms_paid) == (9, None)
    assert planned(42 * 2).arms_paid == 1
    assert "pays for about 9 pairs of every arm" in as_text(planned(42 * 9 + 1), [], "test")
    assert "brings about 1 arm to a first look" in as_text(planned(42 * 2), [], "test")
    assert "pays for all of it" in as_text(planned(42 * 31), [], "test")


def test_a_plan_says_trials_minutes_and_what_is_left_out() -> None:
    assert as_text(planned(), ["cutmix", "tta"], "full-optimization").splitlines() == [
        "3 arms would be measured",
        "2 would not, as they don't apply or can't gain: cutmix, tta",
        "a whole training of the baseline took 10 s; an arm's is counted as long",
        "a trial of steps alone of the baseline took 1 s; an arm's is counted as long",
        "until the first look, after 4 pairs: 24 trials, about 3 min",
        "at most, in 30 pairs: 180 trials, about 21 min; decided arms stop before",
        "what is chosen is then combined, and confirmed in fresh pairs",
    ]
    assert "6 pairs each: 36 trials, about 4 min" in as_text(planned(rule=Rule(6, 6)), [], "test")


def test_a_screening_is_planned_by_its_first_look() -> None:
    head = header(mode="full-optimization", first=4, repeats=30, screening=(1, 6))
    (first,) = rounds([Contrast("fast", recipe("fast"), PLAIN, "full")], 1, seed=0)
    found = forecast(head, first, rule_of(head), {"full": 10.0})
    said = as_text(found, [], "full-optimization")
    assert "until the first look, after 1 pair: 2 trials, about 20 s" in said
    assert "at most, in 6 pairs: 12 trials" in said


RANGES = {"lr": Range(values=(0.001, 0.01, 0.1)), "width": Range(low=1, high=8)}


def search(budget: float | None = None, **ranges: Range) -> SearchForecast:
    """Return the forecast of a search whose baseline trains for 10 s."""
    return SearchForecast(
        ranges={**RANGES, **ranges}, trial_seconds=10.0, tries_a_block=3, most_blocks=100,
        finals=8, rule=Rule(4, 30), share=0.5, kept=0.4, budget_seconds=budget,
    )  # fmt: skip


def test_a_search_is_planned_by_what_its_budget_pays_for() -> None:
    assert as_text(search(1200.0), [], "full-optimization").splitlines() == [
        "2 settings of 24 combinations would be searched:",
        "  lr: 0.001, 0.01 and 0.1",
        "  width: 1 to 8",
        "a whole training of the baseline took 10 s; a try is counted as long",
        "50 % of the budget of 20 min pays for about 45 tries, 3 beside each training of the "
        "baseline; the best are tried again in up to 8 trainings",
        "40 %, 8 min, is kept for the end: what is best is confirmed in 4 to 30 fresh pairs",
    ]
    assert as_text(search(60.0), [], "full-optimization").splitlines()[-1] == (
        "50 % of the budget of 60 s does not pay for 3 tries beside a training of the baseline, "
        "40 s: give more"
    )


def test_a_search_without_a_budget_or_an_end_of_choices_is_planned_too() -> None:
    said = as_text(search(rate=Range(low=0.1, high=0.5)), [], "full-optimization").splitlines()
    assert said[0] == "3 settings would be searched:"
    assert said[-2] == (
        "300 tries, 3 beside each training of the baseline; the best are tried again in up to 8 "
        "trainings: about 68 min in all"
    )
