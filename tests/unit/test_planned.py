"""A journal holds the arms that its run plans, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.errors import BenchError
from bench.records.header import Arm
from bench.records.measurement import Evaluation, Measurement, Status
from bench.records.planned import check_planned
from bench.records.recipe import Recipe, Use
from tests.records import header, measurement, paired, recipe

FILE = Path("trials.jsonl")
OWN = {"t.py": "0" * 64}


def of(arm: str, pair: int = 0, **uses: dict[str, Any]) -> Measurement:
    """Return a trial whose recipe has these techniques, with their settings."""
    techniques = tuple(Use(name=name.replace("_", "-"), settings=s) for name, s in uses.items())
    return with_recipe(arm, pair, techniques)


def own(arm: str, pair: int = 0, **settings: Any) -> Measurement:
    """Return a trial of a technique of the user's own, of whose name only its code knows."""
    return with_recipe(arm, pair, (Use(name="t.py:T", settings=settings),))


def with_recipe(arm: str, pair: int, techniques: tuple[Use, ...]) -> Measurement:
    """Return a trial of an arm that need not be called as its recipe is."""
    made = Recipe(baseline="made-up", settings=recipe().settings, techniques=techniques, files=OWN)
    content = made.model_dump(mode="json")
    return measurement(pair=pair).model_copy(update={"arm": arm, "recipe": content})


def check(asked: Sequence[str], *trials: Measurement, probes: bool = False, **changes: Any) -> None:
    """Hold trials to a plan of arms, as they are typed."""
    arms = tuple(Arm(techniques=tuple(arm.split())) for arm in asked)
    check_planned(header(**{"arms": arms, **changes}), trials, FILE, probes)


FULL: dict[str, Any] = {"mode": "full-optimization"}
RECIPE: dict[str, Any] = {"mode": "recipe", "arms": (Arm(recipe_file="one.json"),)}


@pytest.mark.parametrize(
    ("asked", "trials", "changes"),
    [
        (["fast"], [measurement(), measurement("fast"), measurement("baseline#2", 1)], {}),
        (["fast"], paired("fast", stage="confirm"), {}),
        (["b a"], [measurement("b+a")], {}),
        (["b", "a", "c"], [measurement("a+c"), measurement("c", 1, stage="attribute")], FULL),
        (["a", "b"], [measurement("b+a", -1, status=Status.NOT_APPLICABLE)], FULL),
        (
            ["cut:ratio=0.3", "cut:ratio=0.50"],
            [
                of("cut:ratio=0.3", cut={"ratio": 0.3, "after": 1}),
                of("cut:ratio=0.5", cut={"ratio": 0.5, "after": 1}),
            ],
            {},
        ),
        (["big:x=1e20", "big"], [of("big:x=1e+20,y=a+b", big={"x": 1e20, "y": "a+b"})], {}),
        (["t.py:T"], [own("mine"), own("mine", 1)], {}),
        (["t.py:T:a=1", "t.py:T:a=2"], [own("mine:a=1", a=1), own("mine:a=2", 1, a=2)], {}),
        ([], [own("t.py:T")], RECIPE),
        (["fast"], [measurement("fast", -1, recipe=recipe().model_dump(mode="json"))], {}),
        (["t.py:T"], [measurement("mine", -1, recipe=recipe().model_dump(mode="json"))], {}),
    ],
)
def test_arms_that_a_plan_makes_are_taken(
    asked: list[str], trials: list[Measurement], changes: dict[str, Any]
) -> None:
    check(asked, *trials, **changes)


@pytest.mark.parametrize(
    ("asked", "trials", "changes", "said"),
    [
        (["fast"], [measurement("magic")], {}, "magic of pair 0 uses magic, which run.json does"),
        (["a"], [measurement("a"), measurement("a+b", 1)], {}, "uses a, b, which run.json doesn't"),
        (["a", "b"], [measurement("a+b")], {}, "uses a, b, which run.json doesn't plan"),
        (["a", "b"], [measurement("a+c")], FULL, "uses a, c, which run.json doesn't plan"),
        (["a"], [of("magic", a={})], {}, "is not what its recipe of a is called"),
        (["a"], [of("a:x=2", a={"x": 1})], {}, "is not what its recipe of a is called"),
        (["t.py:T"], [own("mine"), own("magic", 1)], {}, "has the recipe of mine"),
        (["t.py:T"], [own("mine"), own("magic", 1, a=1)], {}, "is one arm more of t.py:T than"),
        (["a"], [of("a")], {}, "has the recipe of the baseline"),
        (["a"], [of("baseline", a={})], {}, "has the techniques of a"),
        (["a"], [measurement(recipe=recipe(lr=2).model_dump(mode="json"))], {}, "has another lr"),
        (
            ["a"], [measurement("magic", -1, recipe=recipe().model_dump(mode="json"))], {},
            "is not in the plan of run.json",
        ),
        ([], [of("a", a={}), of("b", 1, b={})], RECIPE, "is one arm more than the 1 recipes"),
        (["a"], [measurement("a", device="cuda")], {}, "ran on cuda, run.json says cpu"),
        (["a"], [measurement("a", kind="build")], {}, "was only rehearsed"),
        (
            ["a"], [measurement("a", stage="confirm")], {"raced": {"test": 1}},
            "is of the stage confirm, which run.json doesn't say was begun",
        ),
        (
            ["a", "b"], [measurement("a"), measurement("b", 1)], {"raced": {"test": 1}},
            "is one arm more than the 1 that run.json raced",
        ),
    ],
)  # fmt: skip
def test_an_arm_that_no_plan_made_is_refused_with_its_line(
    asked: list[str], trials: list[Measurement], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(BenchError, match=f"^trials.jsonl, line {len(trials)}: .*{said}"):
        check(asked, *trials, **changes)


def test_a_metric_that_can_not_be_is_refused_with_its_line() -> None:
    bounds: dict[str, Any] = {"metric_bounds": (0.0, 1.0)}
    check(["a"], measurement("a", metric=1 + 1e-7), **bounds)
    with pytest.raises(BenchError, match=r"line 2: a of pair 0 has accuracy=2, beyond the bounds"):
        check(["a"], measurement(), measurement("a", metric=2.0), **bounds)
    earlier = Evaluation(epoch=1, step=1, train_seconds=1.0, values={"accuracy": -0.5})
    with pytest.raises(BenchError, match=r"line 1: a of pair 0 has accuracy=-0\.5, beyond"):
        check(["a"], measurement("a", metrics=(earlier,)), **bounds)


def test_probes_are_of_techniques_that_are_planned() -> None:
    content = recipe(batch_size=64).model_dump(mode="json")
    check(["a"], measurement("a", recipe=content), probes=True)
    with pytest.raises(BenchError, match="magic of pair 0 is not in the plan"):
        check(["a"], measurement("magic", recipe=content), probes=True)


def test_reports_show_no_arm_that_was_added_by_hand(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(header().model_dump_json())
    lines = [r.model_dump_json() for r in (*paired("fast"), measurement("magic", 0))]
    (tmp_path / "trials.jsonl").write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(BenchError, match=r"trials.jsonl, line 13: magic of pair 0 uses magic"):
        reports.read(tmp_path)
