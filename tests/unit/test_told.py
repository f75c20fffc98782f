"""What trials tell is the same, however often it was asked for while they came."""

from __future__ import annotations

import random
from statistics import median
from typing import Any

from bench.analysis.pairs import pairs_of
from bench.records.measurement import BASELINE, CONTROL, FlopsCheck, Measurement, Surroundings
from bench.records.node import Node
from bench.run.counted import FLOPS_FACTS
from bench.run.disturbance import _cores, _waiting
from bench.run.told import Told
from tests.records import measurement, recipe

ARMS = (BASELINE, "fast", "slow", CONTROL)
NODES = (None, *(
    Node(name=name, host="h", cpu=None, cores=2, memory_bytes=1, python="3.11", torch=None)
    for name in "ab"
))  # fmt: skip


def trials(count: int, lot: random.Random) -> list[Measurement]:
    """Return blocks of one trial an arm, whole or not, on some node, with what some of them say."""
    return [trial(arm, pair, lot) for pair in range(count) for arm in lot.sample(ARMS, 3)]


def trial(arm: str, pair: int, lot: random.Random) -> Measurement:
    around = Surroundings(
        waited_seconds=lot.choice([None, lot.random()]), foreign_cores=lot.random(),
        throttled_seconds=None, clock_gap_seconds=0.0,
    )  # fmt: skip
    facts: dict[str, Any] = {
        "status": lot.choice(["ok", "ok", "failed"]), "node": lot.choice(NODES),
        "surroundings": lot.choice([None, around]), "disturbed": lot.choice([None, None, "burst"]),
        "model_flops_per_step": lot.choice([None, None, lot.randrange(9)]),
        "unknown": lot.choice([{}, {}, {"model_flops_per_step": "no"}]),
        "flops_check": lot.choice([None] * 20 + [FlopsCheck(ours=1, fvcore=1, thop=1)]),
        "stage": "confirm" if pair % 3 == 0 else "test",
    }  # fmt: skip
    return measurement(arm, pair, **facts)


def counted(known: list[Measurement], content: dict[str, Any]) -> dict[str, Any]:
    """Return what the first trial of a recipe that tells it counted, looking at all of them."""
    for one in known:
        if one.recipe == content and one.model_flops_per_step is not None:
            return {name: getattr(one, name) for name in FLOPS_FACTS}
        if one.recipe == content and "model_flops_per_step" in one.unknown:
            return {"unknown": one.unknown}
    return {}


def middle(known: list[Measurement], node: Node | None, what: str) -> float | None:
    usual = [m for m in known if m.ok and m.surroundings and not m.disturbed and m.node == node]
    found = [(getattr(m.surroundings, what), m.train_seconds) for m in usual]
    rates = [value / (seconds or 1.0) for value, seconds in found if value is not None]
    return median(rates) if rates else None


def test_what_trials_tell_as_they_come_is_what_all_of_them_tell_looked_at_anew() -> None:
    lot = random.Random(7)
    known = list[Measurement]()
    told = Told(known, [])
    for one in trials(40, lot):
        known.append(one)
        if lot.random() < 0.5:  # some are asked about at once, some only with later ones
            continue
        for arm in ARMS:
            content = one.recipe if arm == one.arm else recipe(arm).model_dump(mode="json")
            assert told.counted.of(content) == counted(known, content)
            own = [trial for trial in known if trial.stage == "test"]
            assert pairs_of(told.pairs.of(arm, "test"), arm) == pairs_of(own, arm)
        for node in NODES:
            assert told.usual.middle(node, _waiting) == middle(known, node, "waited_seconds")
            assert told.usual.middle(node, _cores) == middle(known, node, "foreign_cores")
        assert told.counted.checked == any(m.flops_check is not None for m in known)


def test_a_recipe_that_differs_in_a_setting_alone_has_its_own_count() -> None:
    told = Told([measurement(model_flops_per_step=7)], [])
    assert told.counted.of(recipe().model_dump(mode="json"))["model_flops_per_step"] == 7
    assert told.counted.of(recipe(lr=0.5).model_dump(mode="json")) == {}
