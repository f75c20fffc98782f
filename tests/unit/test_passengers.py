"""What rounds with each part of a combination, and without it, tell of what the part adds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bench.analysis.passengers import Seen, Step, look
from bench.records.measurement import Inference, Measurement
from tests.records import measurement


def steps(whole: str, *, won: dict[str, Any]) -> dict[Any, Step]:
    """Return what the whole is with and without each of its parts."""
    more = frozenset(whole.split("+"))
    return {frozenset({n}): Step(more, more - {n}, gains) for n, gains in won.items()}


def test_what_is_nearer_to_nothing_than_to_a_gain_worth_finding_is_idle_in_the_end() -> None:
    logs = {"quick+steady": (0.4, 0.4), "steady": (0.02, 0.0), "quick": (0.34, 0.41)}
    trials = []
    for number in range(2):
        trials.append(measurement(pair=number, stage="combine"))
        trials += [
            measurement(arm, number, seconds=math.exp(-values[number]), stage="combine")
            for arm, values in logs.items()
        ]
    asked = steps("quick+steady", won={"quick": ("faster",), "steady": ("faster",)})
    quick, steady = frozenset({"quick"}), frozenset({"steady"})
    assert look(trials, asked) == Seen((), (steady,))
    assert look(trials, asked, last=True) == Seen((), ())  # 2.5 %: beyond half of 5 %
    logs["quick"] = (0.36, 0.41)
    trials[3] = measurement("quick", 0, seconds=math.exp(-0.36), stage="combine")
    assert look(trials, asked, last=True) == Seen((steady,), ())
    assert quick not in look(trials, asked).open


LUCKY = ((1.54, 0.365, 0.359), (1.78, 0.42, 0.363), (1.88, 0.553, 0.468))
"""Seconds of a baseline, of three parts together, and with a fourth that adds 2 %: as measured."""


def joined(memory: float = 1.0, pairs: Any = LUCKY) -> list[Measurement]:
    """Return rounds of a combination with a part and without, beside the baseline."""
    return [
        measurement(arm, number, seed=number, stage="combine", seconds=seconds, memory=size,
                    cpu_seconds=seconds)
        for number, each in enumerate(pairs)
        for arm, seconds, size in zip(
            ("baseline", "core", "part+core"), each, (50e6, 50e6, 50e6 / memory), strict=True)
    ]  # fmt: skip


def test_three_lucky_pairs_of_short_trials_do_not_show_that_a_doubtful_part_gains() -> None:
    asked = steps("part+core", won={"part": ("faster",)})
    part = frozenset({"part"})
    quiet = [np.log([1.637, 1.631, 1.627, 1.625]), np.log([1.578, 1.537, 1.537])]  # the baseline
    more = [
        measurement("core", 7 + k, seed=0, stage="combine", seconds=seconds)
        for k, seconds in enumerate((0.367, 0.327))
    ]  # the core, in the round of 0.365 s
    assert look([*joined(), *more], asked, quiet) == Seen((), ())  # in the opinion of the baseline
    trials = [*joined(), *more]
    assert look(trials, asked, quiet, joining=True) == Seen((), (part,))
    assert look(trials, asked, quiet, joining=True, last=True) == Seen((part,), ())
    clear = joined(pairs=[(1.54, 0.365, 0.29), (1.78, 0.42, 0.33), (1.88, 0.5, 0.4)])
    assert look([*clear, *more], asked, quiet, joining=True) == Seen((), ())  # it joins


def test_the_baseline_s_trials_differ_as_much_as_trials_as_short_as_a_combination_s() -> None:
    asked = steps("part+core", won={"part": ("faster",)})
    pairs = [(1.6, 0.4, 0.37), (1.6, 0.4, 0.375)]  # 7 %, four times as fast as the baseline
    equal = [np.array([0.0, 0.02, -0.02])]
    assert look(joined(pairs=pairs), asked, equal, joining=True).open == (frozenset({"part"}),)
    assert look(joined(pairs=[(0.4, 0.4, 0.37), (0.4, 0.4, 0.375)]), asked, equal,
                joining=True) == Seen((), ())  # fmt: skip


def test_a_doubtful_part_that_two_rounds_give_little_is_not_waited_for() -> None:
    asked = steps("part+core", won={"part": ("faster",)})
    pairs = [(1.0, 0.5, 0.5), (1.0, 0.52, 0.5)]  # 2 % on average, within much noise
    equal = [np.array([0.0, 0.1, -0.1])]
    part = frozenset({"part"})
    assert look(joined(pairs=pairs), asked, equal) == Seen((), (part,))
    assert look(joined(pairs=pairs), asked, equal, joining=True) == Seen((part,), ())


@pytest.mark.parametrize(("memory", "joins"), [(1.3, True), (1.0, False)])
def test_a_doubtful_part_joins_by_the_memory_that_it_saves(memory: float, joins: bool) -> None:
    asked = steps("part+core", won={"part": ("smaller",)})
    pairs = [(1.0, 0.5, 0.5), (1.0, 0.52, 0.5), (1.0, 0.5, 0.51)]
    trials = joined(memory=memory, pairs=pairs)
    seen = look(trials, asked, [np.array([0.0, 0.1, -0.1])], last=True, joining=True)
    assert seen.idle == (() if joins else (frozenset({"part"}),))


@pytest.mark.parametrize(("cpu", "left"), [(2.0, True), (1.0, False)])
def test_one_pair_leaves_out_what_costs_time_where_it_costs_cpu_time_too(
    cpu: float, left: bool
) -> None:
    trials = [
        measurement(cpu_seconds=1.0, stage="combine"),
        measurement("slow+quick", seconds=1.6, cpu_seconds=cpu, stage="combine"),
        measurement("quick", seconds=0.8, cpu_seconds=1.0, stage="combine"),
    ]
    asked = steps("slow+quick", won={"slow": ("faster",)})
    slow = frozenset({"slow"})
    equal = [np.array([0.0, 0.03, -0.03])]
    assert look(trials, asked, equal) == (Seen((slow,), ()) if left else Seen((), (slow,)))
    assert look(trials, asked) == Seen((), (slow,))  # of which the spread is unknown


@pytest.mark.parametrize(
    ("time", "memory", "dropped"), [(1.0, 1.3, False), (0.9, 1.3, True), (1.0, 1.0, True)]
)
def test_a_part_that_won_by_memory_stays_while_it_saves_some_and_costs_no_time(
    time: float, memory: float, dropped: bool
) -> None:
    trials = [
        measurement(),
        measurement("small+quick", seconds=1 / (1.2 * time), memory=50e6 / memory),
        measurement("quick", seconds=1 / 1.2, memory=50e6),
        measurement("small", seconds=1 / time, memory=50e6 / memory),
    ]
    asked = steps("small+quick", won={"small": ("smaller",), "quick": ("faster",)})
    assert look(trials, asked, last=True).idle == ((frozenset({"small"}),) if dropped else ())


def answered(**slim: Any) -> list[Measurement]:
    """Return rounds of a part that deploys a smaller model, beside one that deploys what it trains.

    That is not timed.
    """
    timed, made = (Inference(items=1, seconds=(0.4,)),), list[Measurement]()
    for number, (one, other) in enumerate([(0.5, 0.5), (0.52, 0.5), (0.5, 0.51)]):
        facts: dict[str, Any] = {"pair": number, "seed": number, "stage": "combine"}
        made += [
            measurement(seconds=1.0, inference=timed, **facts),
            measurement("quick", seconds=one, **facts),
            measurement("slim+quick", seconds=other, **facts, **slim),
        ]
    return made


@pytest.mark.parametrize("joining", [True, False])
def test_a_part_that_won_by_faster_inference_stays_beside_what_deploys_the_trained_model(
    joining: bool,
) -> None:
    faster: dict[str, Any] = {"inference": (Inference(items=1, seconds=(0.2,)),)}
    asked = steps("slim+quick", won={"slim": ("faster inference",)})
    equal = [np.array([0.0, 0.1, -0.1])]
    trials = answered(effect="model", **faster)
    assert look(trials, asked, equal, last=True, joining=joining) == Seen((), ())


def test_a_part_of_which_it_is_not_known_whether_it_still_gains_is_not_left_out() -> None:
    asked = steps("slim+quick", won={"slim": ("faster inference",)})
    equal = [np.array([0.0, 0.1, -0.1])]
    assert look(answered(effect="model"), asked, equal, last=True).idle == ()
