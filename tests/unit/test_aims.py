"""What a run is after ranks, combines and exports; what no arm may exceed keeps arms out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import reports
from bench.analysis.aims import best, choice, excess_of_baseline, used, violation
from bench.analysis.bounds import bounds_of
from bench.analysis.claims import judged
from bench.analysis.comparison import compare_run
from bench.analysis.objectives import BY_NAME
from bench.analysis.passengers import Step, look
from bench.analysis.results import Aims, Comparison
from bench.analysis.screening import LOOKS
from bench.analysis.standing import standings
from bench.analysis.verdict import Verdict
from bench.cli.parse import parse_limits, parse_objectives
from bench.errors import BenchError
from bench.recipes.resolve import make_techniques
from bench.records.measurement import CONTROL, Inference, Measurement
from bench.run.export import exported_of
from bench.run.modes import combination
from reports.aims import kept_out
from reports.commands import asked
from reports.view.next_step import next_step
from tests.records import MIB, header, measurement, paired, recipe
from tests.unit.test_bounds import profiled

UP, MORE, SAME = (1.48, 1.5, 1.52, 1.49, 1.51, 1.5), (1.98, 2.0, 2.02, 1.99, 2.01, 2.0), (1.0,) * 6
LITTLE = (1.18, 1.2, 1.22, 1.19, 1.21, 1.2)
KEPT = (0.001, -0.001, 0.002, 0.0, -0.002, 0.0)
DOWN = tuple(1 / ratio for ratio in UP)
Ratios = Sequence[float]


def found(*arms: tuple[str, Ratios, Ratios], **facts: Any) -> Comparison:
    """Compare arms of (name, gains in time, in memory)."""
    records = paired(CONTROL, SAME, first=900)
    for index, (name, times, memories) in enumerate(arms):
        records += paired(name, times, savings=memories, losses_of_metric=KEPT, first=100 * index)
    return compare_run(header(first=4, repeats=30, **facts), records, ())


def verdicts(comparison: Comparison) -> dict[str, Verdict]:
    return {result.arm: result.verdict for result in comparison.arms}


def test_a_gain_in_what_is_not_asked_for_is_none() -> None:
    arms = ("quick", UP, SAME), ("small", SAME, UP)
    assert verdicts(found(*arms)) == {"quick": Verdict.WIN, "small": Verdict.WIN}
    aimed = found(*arms, objectives=("memory",))
    assert verdicts(aimed) == {"quick": Verdict.NO_GAIN, "small": Verdict.WIN}


def test_the_best_is_the_best_in_what_is_asked_for() -> None:
    arms = ("quick", MORE, UP), ("small", UP, MORE)
    for objective, expected in (("time", "quick"), ("memory", "small")):
        winner = best(found(*arms, objectives=(objective,)))
        assert winner is not None
        assert winner.arm == expected


def test_of_two_objectives_no_winner_is_beaten_in_both() -> None:
    both = found(("a", MORE, UP), ("b", UP, MORE), ("c", UP, UP), objectives=("time", "memory"))
    assert {*choice(both)} == {"a", "b"}
    assert choice(found(("a", MORE, UP), objectives=("time",))) == ()


def test_of_winners_that_deploy_what_is_trained_the_faster_is_best_in_time_and_latency() -> None:
    both = found(("little", LITTLE, SAME), ("quick", MORE, SAME),
                 objectives=("time", "inference time"))  # fmt: skip
    assert verdicts(both) == {"little": Verdict.WIN, "quick": Verdict.WIN}
    winner = best(both)
    assert winner is not None
    assert winner.arm == "quick"
    assert choice(both) == ("quick",)


def test_what_is_over_a_limit_is_named_with_its_value_and_not_exported() -> None:
    facts: dict[str, Any] = {"objectives": ("time",), "limits": {"memory": 40.0 * MIB}}
    limited = found(("quick", MORE, SAME), ("small", UP, UP), **facts)
    assert verdicts(limited) == {"quick": Verdict.OVER_LIMIT, "small": Verdict.WIN}
    assert limited.arms[0].reason == "memory of 50 MiB is over the limit of 40 MiB"
    assert limited.baseline_over == "memory of 50 MiB is over the limit of 40 MiB"
    assert not limited.arms[0].goes_on


def test_an_arm_whose_every_trial_is_over_a_limit_is_raced_no_more() -> None:
    head = header(first=4, repeats=30, limits={"time": 0.9})
    slow = standings(head, paired("slow", SAME[:4]), ["slow"], "test")["slow"]
    assert (slow.verdict, slow.goes_on) == (Verdict.OVER_LIMIT, False)
    assert slow.reason == "training of 1 s is over the limit of 0.9 s"
    quick = paired("quick", UP, losses_of_metric=KEPT)
    assert standings(head, quick, ["quick"], "test")["quick"].verdict is Verdict.WIN


@pytest.mark.parametrize(("screening", "first"), [(None, 4), (LOOKS, 2)])
def test_fewer_pairs_than_a_first_look_has_take_no_arm_for_over_a_limit(
    screening: tuple[int, int] | None, first: int
) -> None:
    asked: dict[str, Any] = {"objectives": ("memory",), "times_baseline": {"time": 1.05}}
    head = header(first=4, repeats=30, screening=screening, **asked)
    for pairs in range(1, first + 1):
        records = paired("slow", DOWN[:pairs])
        now = standings(head, records, ["slow"], "test")["slow"]
        (result,) = compare_run(head, records, ()).arms
        over = pairs == first
        assert (now.verdict is Verdict.OVER_LIMIT, now.goes_on) == (over, not over)
        assert (result.verdict is Verdict.OVER_LIMIT, result.goes_on) == (over, not over)


def test_an_arm_that_goes_on_is_over_a_limit_only_where_every_pair_is() -> None:
    asked: dict[str, Any] = {"objectives": ("memory",), "times_baseline": {"time": 1.05}}
    records = paired("noisy", (0.9, 0.9, 1.1, 0.9), savings=(0.9, 1.2, 1.0, 1.2))
    (result,) = compare_run(header(first=4, repeats=30, **asked), records, ()).arms
    assert (result.verdict, result.goes_on) == (Verdict.UNDECIDED, True)


def test_a_training_that_was_only_stepped_is_reckoned_to_its_end() -> None:
    stepped: dict[str, Any] = {
        "kind": "step",
        "train_seconds": 0.1,
        "warmup_step_seconds": (0.5, 0.1),
    }
    head = header(first=4, repeats=30, limits={"time": 2.0})
    over = standings(head, paired("slow", SAME[:4], **stepped), ["slow"], "test")["slow"]
    assert over.reason == "training of 2.9 s is over the limit of 2 s"  # 25 steps and the set-up


def test_a_gain_in_what_is_limited_counts_where_the_baseline_is_over_the_limit() -> None:
    slower = ("small", DOWN, UP)
    for limit, expected in ((40.0 * MIB, "small"), (60.0 * MIB, None)):
        winner = best(found(slower, objectives=("time",), limits={"memory": limit}))
        assert (winner.arm if winner else None) == expected


UNSURE = (1.02, 1.2, 1.05, 1.15)


def test_a_gain_in_what_is_only_limited_does_not_end_the_looks() -> None:
    records = paired("small", UNSURE, savings=UP, losses_of_metric=KEPT)
    facts: dict[str, Any] = {"first": 4, "repeats": 30, "objectives": ("time",)}
    within = header(**facts, limits={"memory": 60.0 * MIB})
    now = standings(within, records, ["small"], "test")["small"]
    assert (now.verdict, now.gains, now.goes_on) == (Verdict.UNDECIDED, (), True)
    assert now.reason == "smaller, but the interval of time holds both none and a gain"
    assert verdicts(compare_run(within, records, ())) == {"small": Verdict.UNDECIDED}
    beyond = header(**facts, limits={"memory": 40.0 * MIB})  # of the baseline
    now = standings(beyond, records, ["small"], "test")["small"]
    assert (now.verdict, now.gains) == (Verdict.WIN, ("smaller",))


def test_how_sure_a_gain_must_be_does_not_depend_on_what_the_baseline_turns_out_to_take() -> None:
    quick = ("quick", UP, SAME)
    within, beyond = (
        found(quick, objectives=("time",), limits={"memory": limit * MIB}) for limit in (60.0, 40.0)
    )
    assert (within.baseline_over is None, beyond.baseline_over is None) == (True, False)
    assert within.arms[0].time_ratio == beyond.arms[0].time_ratio


def test_a_set_up_never_paid_back_is_no_win_by_what_is_only_limited() -> None:
    slow_to_start: dict[str, Any] = {"warmup_step_seconds": (80.0, 0.1), "work": "same work"}
    records = paired("compile", UP, savings=UP, losses_of_metric=KEPT, **slow_to_start)
    for limit, verdict in ((60.0, Verdict.NO_GAIN), (40.0, Verdict.WIN)):
        asked = header(first=4, repeats=30, objectives=("time",), limits={"memory": limit * MIB})
        assert verdicts(compare_run(asked, records, ())) == {"compile": verdict}


def test_what_parts_add_is_told_of_what_the_run_is_after() -> None:
    stages = {"confirm": ("a+b",), "attribute": ("a", "b")}
    records = [
        trial
        for first, (stage, arms) in enumerate(stages.items())
        for number, arm in enumerate(arms)
        for trial in paired(
            arm, UP, savings=UP, losses_of_metric=KEPT, first=100 * first + 10 * number,
            baseline={"stage": stage}, stage=stage,
        )
    ]  # fmt: skip
    asked = header(first=4, repeats=30, mode="full-optimization", objectives=("memory",),
                   times_baseline={"time": 1.2})  # fmt: skip
    told = compare_run(asked, records, ()).attribution
    assert told is not None
    assert told.objective == "memory"


def test_only_what_is_asked_for_has_a_share_in_the_error() -> None:
    both, one = found(("quick", UP, SAME)), found(("quick", UP, SAME), objectives=("time",))
    wide, narrow = (result.time_ratio for result in (both.arms[0], one.arms[0]))
    assert wide is not None
    assert narrow is not None
    assert narrow.low is not None
    assert wide.low is not None
    assert narrow.low > wide.low


def test_a_slower_winner_is_combined_where_time_is_not_asked_for() -> None:
    arms = [make_techniques([name]) for name in ("compile", "mixed-precision")]
    small = ("compile", DOWN, MORE), ("mixed-precision", SAME, UP)
    for objectives, expected in (
        ((), ["mixed-precision"]),
        (("memory",), ["compile", "mixed-precision"]),
    ):
        comparison = found(*small, mode="full-optimization", objectives=objectives)
        used = combination(comparison, arms, lambda text: None)
        names = [name for one in used for name, _ in one]
        assert names == expected


def test_a_part_that_only_costs_time_stays_where_memory_alone_is_asked_for() -> None:
    def trials() -> list[Measurement]:
        made = []
        for pair, arm, seconds, memory in (
            (0, "a+b", 2.0, 25), (0, "a", 1.0, 50), (0, "b", 2.0, 40)
        ):  # fmt: skip
            made.append(measurement(arm, pair, seconds=seconds, memory=memory * MIB))
        return [measurement(pair=0), *made]

    whole = frozenset({"a", "b"})
    steps = {frozenset({n}): Step(whole, whole - {n}, ("smaller",)) for n in ("a", "b")}
    assert look(trials(), steps, last=True).idle == (frozenset({"b"}),)
    assert look(trials(), steps, timed=False, last=True).idle == ()


def test_what_deploys_the_trained_model_gains_no_latency() -> None:
    one, aims = profiled(), Aims(objectives=("inference time",))
    bounds = bounds_of(one, None, "learning", one.profile, aims)
    assert [(b.ratio, b.why) for b in bounds.values() if b] == [
        (1.0, "it deploys the model that is trained")
    ]
    assert bounds_of(one, None, "model", one.profile, aims) == {"inference time": None}
    kept = found(("quick", UP, SAME), objectives=("inference time",))
    assert kept.arms[0].verdict is Verdict.NO_GAIN
    assert "deploys the model that is trained" in kept.arms[0].reason


def test_a_smaller_file_is_claimed_and_held_to() -> None:
    head = header(first=4, repeats=30, objectives=("file size",))

    def made(size: int) -> list[Measurement]:
        small = paired(
            "slim",
            SAME,
            losses_of_metric=KEPT,
            baseline={"model_bytes": 4000},
            effect="model",
            model_bytes=size,
        )  # fmt: skip
        return [*small, *paired(CONTROL, SAME, first=900)]

    comparison = compare_run(head, made(1000), ())
    exported = exported_of(head, made(1000), comparison, best(comparison), recipe())
    assert exported is not None
    assert exported.claim.other_ratios == {"file size": (4.0, 4.0, 4.0)}
    broken = ["claimed a file size ratio of at least 4.000, measured 1.026"]
    for size, problems in ((1000, []), (3900, broken)):
        again = compare_run(head, made(size), ())
        assert judged(exported.claim, again, made(size)).problems == problems


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["memory=2GiB"], {"memory": 2.0 * 1024**3}),
        (["time=15m", "latency=5ms"], {"time": 900.0, "inference time": 0.005}),
        (["size=10 MB", "energy=2kJ"], {"file size": 1e7, "energy": 2000.0}),
    ],
)
def test_limits_are_read_with_their_units(texts: list[str], expected: dict[str, float]) -> None:
    amounts, times = parse_limits(texts)
    assert amounts == pytest.approx(expected)
    assert times == {}


def test_a_limit_may_be_a_multiple_of_what_the_baseline_takes() -> None:
    assert parse_limits(["time=1.2x", "memory=2GiB"]) == ({"memory": 2.0 * 1024**3}, {"time": 1.2})


def test_what_takes_more_than_its_share_of_the_baselines_time_is_over_the_limit() -> None:
    slower = tuple(1 / ratio for ratio in UP)
    limits = {"objectives": ("memory",), "times_baseline": {"time": 1.2}}
    comparison = found(("small", slower, UP), ("quick", UP, UP), **limits)
    assert verdicts(comparison) == {"small": Verdict.OVER_LIMIT, "quick": Verdict.WIN}
    assert comparison.arms[0].reason == "training is 1.5x the baseline's, over the limit of 1.2x"


def test_only_a_better_metric_is_a_gain_where_that_is_asked_for() -> None:
    better = tuple(lost - 0.05 for lost in KEPT)
    records = paired(CONTROL, SAME, first=900) + paired("quick", MORE, losses_of_metric=KEPT)
    records += paired("right", SAME, losses_of_metric=better, first=100)
    records += paired("wrong", MORE, losses_of_metric=tuple(-lost for lost in better), first=200)
    comparison = compare_run(header(first=4, repeats=30, objectives=("quality",)), records, ())
    assert verdicts(comparison) == {
        "quick": Verdict.NO_GAIN, "right": Verdict.WIN, "wrong": Verdict.ACCURACY_LOSS
    }  # fmt: skip
    quick, right, _ = comparison.arms
    assert "a gain of 0.01 in accuracy or more is excluded" in quick.reason
    assert right.gains == ("better metric",)
    assert right.quality_gain is not None
    assert right.quality_gain.low is not None
    assert 0 < right.quality_gain.low < right.quality_gain.middle == pytest.approx(0.05, abs=1e-3)
    assert best(comparison) == right


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["memory=2"], '"memory=2" is no amount above 0 in KiB, MiB, GiB, KB, MB, GB, as 2GiB is'),
        (["time=0s"], '"time=0s" is no amount above 0 in us, ms, s, m, h, as 15m is, and no mult'),
        (["time=1.2"], "as 15m is, and no multiple of the baseline's, as 1.2x is"),
        (["time=0x"], '"time=0x" is no amount above 0'),
        (["quality=1.2x"], '--limit: no objective named "quality"'),
        (["speed=2"], '--limit: no objective named "speed"; there are: time, memory, energy,'),
        (["time=1s", "time=2s"], "--limit time is given twice"),
    ],
)
def test_a_limit_that_is_none_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(BenchError) as raised:
        parse_limits(texts)
    assert message in str(raised.value)


def test_one_objective_or_two_are_taken() -> None:
    assert parse_objectives(["latency", "size"]) == ("inference time", "file size")
    with pytest.raises(BenchError, match="give one, or two side by side"):
        parse_objectives(["time", "memory", "size"])
    assert parse_objectives(["quality"]) == ("quality",)
    with pytest.raises(BenchError, match="quality stands alone; what may be paid for it is said"):
        parse_objectives(["quality", "time"])


def test_a_report_says_what_was_asked_and_what_is_not_to_be_had(tmp_path: Any) -> None:
    records = paired("quick", MORE) + paired(CONTROL, SAME, first=900)
    head = header(first=4, repeats=30, objectives=("time",), limits={"memory": 40.0 * MIB})
    text = reports.render("md", reports.made(tmp_path, head, records, ()))
    over = "memory of 50 MiB is over the limit of 40 MiB."
    assert "A gain counts in time alone; limits: memory at most 40.0 MiB." in text
    assert f"quick is not to be had: its {over} The baseline itself: its {over}" in text


def test_a_win_in_what_is_not_asked_for_is_no_gain_and_is_not_offered(tmp_path: Any) -> None:
    records = paired("small", SAME, savings=UP, losses_of_metric=KEPT)
    facts: dict[str, Any] = {"objectives": ("time",), "limits": {"memory": 60.0 * MIB}}
    run = reports.made(tmp_path, header(first=4, repeats=30, **facts), records, ())
    (result,) = run.comparison.arms
    assert (result.verdict, result.gains) == (Verdict.NO_GAIN, ())
    excluded = "a gain of 5 % or more in time is excluded, at 95 % for this arm alone"
    assert result.reason == f"smaller, but {excluded}"
    assert reports.verdict(run).startswith(
        "small is not shown to beat the baseline in time: no gain (smaller, but"
    )
    assert next_step(run) is None


def test_what_is_over_a_limit_is_said_to_be_what_cant_be_had(tmp_path: Any) -> None:
    head = header(first=4, repeats=30, limits={"memory": 40.0 * MIB})
    quick = paired("quick", MORE, losses_of_metric=KEPT)
    run = reports.made(tmp_path, head, quick, ())
    over = "memory of 50 MiB is over the limit of 40 MiB"
    assert reports.verdict(run) == f"quick can't be had: its {over}."
    other = paired("other", MORE, losses_of_metric=KEPT, first=100)
    run = reports.made(tmp_path, head, [*quick, *other], ())
    assert reports.verdict(run) == (
        "Nothing that can be had is shown to beat the baseline (2 candidates: 2 over the limit)."
    )


@pytest.mark.parametrize("exported", [True, False])
def test_of_two_objectives_what_is_exported_is_said_where_anything_is(
    exported: bool, tmp_path: Any
) -> None:
    records = [
        *paired("a", MORE, savings=UP, losses_of_metric=KEPT),
        *paired("b", UP, savings=MORE, losses_of_metric=KEPT, first=100),
    ]
    head = header(first=4, repeats=30, objectives=("time", "memory"))
    if exported:
        (tmp_path / "optimized.json").touch()
    run = reports.made(tmp_path, head, records, ())
    (said,) = kept_out(run)
    assert run.winner is not None
    end = f"; exported is {run.winner.arm}." if exported else "."
    assert said.endswith(f"is better than another in both time and memory{end}")


def test_a_command_that_asks_for_the_same_has_the_same_aims(tmp_path: Any) -> None:
    limits = {"memory": 1.5 * MIB, "inference time": 0.005}
    head = header(objectives=("file size", "time"), limits=limits)
    words = asked(reports.made(tmp_path, head, (), ()))
    assert words[words.index("--objective") :] == [
        "--objective", "size", "time", "--limit", "memory=1536KiB", "latency=0.005s",
    ]  # fmt: skip
    assert parse_limits(words[-2:]) == (limits, {})
    head = header(objectives=("quality",), times_baseline={"time": 1.2})
    words = asked(reports.made(tmp_path, head, (), ()))
    assert words[-4:] == ["--objective", "quality", "--limit", "time=1.2x"]


def test_a_run_after_what_is_no_objective_is_refused() -> None:
    for facts in ({"objectives": ("speed",)}, {"limits": {"speed": 1.0}}):
        with pytest.raises(BenchError, match='has the objective "speed"; there are: time, memory'):
            found(("quick", UP, SAME), **facts)


UNKNOWN: dict[str, dict[str, Any]] = {
    "inference time": {}, "energy": {}, "memory": {"peak_rss_bytes": None},
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.parametrize("limits", ["limits", "times_baseline"])
def test_what_is_limited_and_was_not_measured_is_no_win(name: str, limits: str) -> None:
    records = paired("quick", MORE, losses_of_metric=KEPT, effect="model", **UNKNOWN[name])
    asked: dict[str, Any] = {"objectives": ("time",), limits: {name: 1.0}}
    comparison = compare_run(header(first=4, repeats=30, **asked), records, ())
    (result,) = comparison.arms
    assert (result.verdict, result.goes_on) == (Verdict.UNDECIDED, False)
    assert result.reason == f"faster, but its {name}, which is limited, was not measured"
    assert best(comparison) is None


@pytest.mark.parametrize(("limit", "verdict"), [(0.2, Verdict.WIN), (0.05, Verdict.OVER_LIMIT)])
def test_what_deploys_the_trained_model_is_as_quick_to_ask_as_the_baseline(
    limit: float, verdict: Verdict
) -> None:
    timed = {"inference": (Inference(items=1, seconds=(0.1,)),)}
    records = paired("quick", MORE, losses_of_metric=KEPT, baseline=timed)
    asked: dict[str, Any] = {"objectives": ("time",), "limits": {"inference time": limit}}
    found = compare_run(header(first=4, repeats=30, **asked), records, ())
    assert verdicts(found) == {"quick": verdict}
    asked = {"objectives": ("time",), "times_baseline": {"inference time": 10 * limit}}
    found = compare_run(header(first=4, repeats=30, **asked), records, ())
    assert verdicts(found) == {"quick": verdict}


def test_an_objective_counts_though_the_first_pair_lacks_it_and_is_open_where_all_do() -> None:
    records = paired("frugal", SAME, losses_of_metric=KEPT)
    joules = {"baseline": 20.0, "frugal": 10.0}
    known = [
        trial.model_copy(update={"energy_joules": joules[trial.arm], "items_seen": 10})
        if trial.key != (0, "baseline") else trial
        for trial in records
    ]  # fmt: skip
    asked = header(first=4, repeats=30, objectives=("energy",))
    assert verdicts(compare_run(asked, known, ())) == {"frugal": Verdict.WIN}
    (lacking,) = compare_run(asked, records, ()).arms
    assert lacking.verdict is Verdict.UNDECIDED
    assert lacking.reason == "nothing that counts was measured of the baseline"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"limits": {"memory": 40.0 * MIB}}, "memory of 50 MiB is over the limit of 40 MiB"),
        (
            {"times_baseline": {"memory": 0.8}},
            "memory is 1x the baseline's, over the limit of 0.8x",
        ),
    ],
)
def test_no_recipe_is_exported_where_the_baseline_too_is_over_a_limit(
    asked: dict[str, Any], said: str
) -> None:
    records = paired(CONTROL, SAME, first=900) + paired("quick", MORE, losses_of_metric=KEPT)
    head = header(first=4, repeats=30, **asked)
    comparison = compare_run(head, records, ())
    assert comparison.baseline_over == said
    assert exported_of(head, records, comparison, best(comparison), recipe()) is None
    free = header(first=4, repeats=30, limits={"memory": 60.0 * MIB})
    within = compare_run(free, records, ())
    assert exported_of(free, records, within, None, recipe()) is not None


def test_a_baseline_that_was_also_stepped_is_over_a_limit_by_its_whole_trainings() -> None:
    stepped: dict[str, Any] = {"kind": "step", "metric": None, "energy_joules": 50.0}
    trials = [measurement(pair=n, memory=40 * MIB, **stepped) for n in range(3)]
    trials.append(measurement(pair=3, memory=60 * MIB, energy_joules=5000.0))
    over = excess_of_baseline(trials, Aims(limits={"memory": 50.0 * MIB}))
    assert over == "memory of 60 MiB is over the limit of 50 MiB"
    over = excess_of_baseline(trials, Aims(limits={"energy": 1000.0}))
    assert over == "energy of 5,000 J is over the limit of 1,000 J"


def test_steps_alone_do_not_tell_the_energy_of_a_training() -> None:
    energy, facts = BY_NAME["energy"], {"energy_joules": 50.0, "items_seen": 10}
    stepped: dict[str, Any] = {**facts, "kind": "step"}
    assert used(energy, measurement(**stepped)) is None
    assert used(energy, measurement(energy_joules=50.0)) == 50.0
    cooler = measurement("cool", **{**stepped, "energy_joules": 30.0})
    share = violation((measurement(**stepped), cooler), Aims(times_baseline={"energy": 1.2}))
    assert share == pytest.approx(0.6 / 1.2 - 1)  # by the item


@pytest.mark.parametrize(("times", "verdict"), [(SAME, Verdict.WIN), (DOWN, Verdict.OVER_LIMIT)])
def test_steps_of_the_same_work_tell_a_multiple_of_the_time_where_no_epochs_are_planned(
    times: Ratios, verdict: Verdict
) -> None:
    stepped: dict[str, Any] = {"kind": "step", "planned_epochs": None, "work": "same work"}
    records = paired("lean", times, savings=UP, baseline=stepped, effect="exact", **stepped)
    asked: dict[str, Any] = {"objectives": ("memory",), "times_baseline": {"time": 1.2}}
    comparison = compare_run(header(first=4, repeats=30, **asked), records, ())
    assert verdicts(comparison) == {"lean": verdict}


def test_what_is_not_known_exceeds_a_limit_where_it_is_known_of_the_baseline() -> None:
    limit = Aims(limits={"inference time": 1.0})
    timed = measurement(inference=(Inference(items=1, seconds=(0.1,)),))
    slim = measurement("slim", effect="model")
    assert violation((timed, slim), limit) == 1.0
    assert violation((measurement(), slim), limit) == 0.0
    assert violation((timed, measurement("quick")), limit) == pytest.approx(0.1 - 1)
