"""What a full optimisation combines and confirms."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.analysis.intervals import Interval
from bench.analysis.results import ArmResult, Comparison
from bench.analysis.verdict import Verdict
from bench.recipes.resolve import make_techniques
from bench.run.arm_names import Used, join
from bench.run.confirming import best_alone
from bench.run.modes import combination, combined, together
from bench.run.plan import Contrast
from bench.run.session import Session
from tests.records import header, recipe

ARMS = [make_techniques([name]) for name in ("early-stopping", "adaptive-batch", "compile")]


def won(arm: str, middle: float, **changes: Any) -> ArmResult:
    ratio = Interval(low=middle - 0.1, middle=middle, high=middle + 0.1)
    facts: dict[str, Any] = {
        "arm": arm, "verdict": Verdict.SCREENED, "reason": "made up", "work": None, "statuses": {},
        "time_ratio": ratio, "gains": ("faster",),
    }  # fmt: skip
    return ArmResult(**{**facts, **changes})


def found(*arms: ArmResult) -> Comparison:
    return Comparison(
        margin=0.01, baseline_metric=None, baseline_seconds_to_target=None, control=None,
        smallest_visible_effect=None, visible_pairs=0, arms=arms, complete=True,
    )  # fmt: skip


def names(comparison: Comparison) -> list[str]:
    winners = combination(comparison, ARMS, lambda text: None)
    return [name for used in winners for name, _ in used]


def screened(*arms: str) -> list[Contrast]:
    return [Contrast(arm, recipe(arm), recipe(), "full") for arm in arms]


def test_only_winners_are_combined_the_fastest_first() -> None:
    lost = won("compile", 1.9, verdict=Verdict.NO_GAIN)
    comparison = found(won("early-stopping", 1.3), won("adaptive-batch", 1.5), lost)
    assert names(comparison) == ["adaptive-batch", "early-stopping"]


def test_a_winner_in_memory_that_costs_time_is_not_combined() -> None:
    assert names(found(won("compile", 0.5, gains=("smaller",)))) == []
    two_pairs = won("compile", 0.5, gains=("smaller",), time_ratio=Interval(None, 0.9, None))
    assert names(found(two_pairs)) == []
    even = two_pairs.model_copy(update={"time_ratio": Interval(None, 0.98, None)})
    assert names(found(even)) == ["compile"]


def test_the_best_single_technique_is_confirmed_beside_the_combination() -> None:
    comparison = found(won("early-stopping", 1.3), won("adaptive-batch", 1.5))
    contrasts = best_alone(
        comparison, "adaptive-batch+early-stopping", screened("early-stopping", "adaptive-batch")
    )
    assert [contrast.arm for contrast in contrasts] == ["adaptive-batch"]


def test_a_combination_of_one_is_confirmed_once() -> None:
    comparison = found(won("early-stopping", 1.3))
    assert best_alone(comparison, "early-stopping", screened("early-stopping")) == []


def test_a_combination_of_one_arm_is_that_arm_by_what_judges_it() -> None:
    names = [f"early-stopping:patience={n}" for n in (3, 5)]
    arms = [make_techniques([name]) for name in names]
    own = [replace(one, kind="step") for one in screened(*names)]
    session = cast(Session, SimpleNamespace(header=header()))
    assert combined(session, arms[1], arms, own) == [replace(own[1], kind="full")]


@pytest.mark.parametrize(
    ("apart", "expected"),
    [
        (set(), "early-stopping+adaptive-batch+compile"),
        ({"compile"}, "early-stopping+adaptive-batch"),
        ({"adaptive-batch"}, "early-stopping+compile"),
        ({"adaptive-batch", "compile"}, "early-stopping"),
    ],
)
def test_what_does_not_apply_with_faster_winners_is_left_out(
    apart: set[str], expected: str
) -> None:
    asked: list[str] = []

    def candidates(used: Used) -> list[Contrast]:
        names = [name for name, _ in used]
        asked.append(join(names))
        clashes = len(names) > 1 and apart & set(names)
        return [] if clashes else screened(join(names))

    chosen, contrasts = together(ARMS, candidates)
    assert join([name for name, _ in chosen]) == expected
    assert [contrast.arm for contrast in contrasts] == [expected]
    assert len(asked) == len(set(asked))
