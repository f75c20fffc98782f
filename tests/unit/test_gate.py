"""The gate for CI: has a run become worse than another?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.analysis import gate
from bench.analysis.gate import Finding, Rule
from bench.errors import BenchError
from bench.records.measurement import CONTROL, Measurement, Status
from tests.records import SETTINGS, failed, header, measurement, paired, recipe

STEADY = (1.0, 1.01, 0.99, 1.0, 1.005, 0.995)
NOISY = (0.7, 1.4, 1.0, 1.3, 0.8, 1.1)
LUCK = (0.003, -0.002, 0.001, 0.0, -0.004, 0.002)


def run(tmp_path: Path, name: str, trials: Sequence[Measurement | float], **changes: Any) -> Path:
    """Write a run of the baseline: from its records, or from seconds."""
    folder = tmp_path / name
    folder.mkdir(parents=True)
    head = header(run=name, **changes)
    (folder / "run.json").write_text(head.model_dump_json())
    records = [
        t if isinstance(t, Measurement) else measurement(pair=pair, seconds=t)
        for pair, t in enumerate(trials)
    ]
    own = {"baseline": head.baseline, "settings": head.settings}
    records = [
        r.model_copy(update={"recipe": {**r.recipe, **own}, "device": head.device}) for r in records
    ]
    lines = [record.model_dump_json() + "\n" for record in records]
    (folder / "trials.jsonl").write_text("".join(lines))
    return folder


def good(pair: int) -> Measurement:
    return measurement(pair=pair, metric=0.9 + LUCK[-pair])


def gated(
    tmp_path: Path,
    before: Sequence[Measurement | float],
    after: Sequence[Measurement | float],
    *rules: str,
    **changes: Any,
) -> Finding:
    old, new = run(tmp_path, "old", before), run(tmp_path, "new", after, **changes)
    return gate.check(old, new, gate.parse_rules(rules))


def times(factor: float, values: Sequence[float] = STEADY) -> list[float]:
    return [factor * value for value in values]


def test_rules_are_read() -> None:
    assert gate.parse_rules(["time=5%", "memory=10%", "accuracy=0.02"]) == [
        Rule("time", 0.05), Rule("memory", 0.1), Rule("accuracy", 0.02),
    ]  # fmt: skip


def test_rules_may_come_in_one_text() -> None:
    assert gate.parse_rules(["time=5% memory=10%"]) == [Rule("time", 0.05), Rule("memory", 0.1)]


@pytest.mark.parametrize("text", ["time=5", "memory=0.1"])
def test_a_share_without_its_percent_sign_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match=f"{text} has no percent sign; write {text}%"):
        gate.parse_rules([text])


@pytest.mark.parametrize("text", ["speed=5%", "time=", "time=fast", "time=-5%", "time5%", "=5%"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="is no rule; write time=5%, memory=10%, accuracy"):
        gate.parse_rules([text])


def test_time_needs_a_limit() -> None:
    with pytest.raises(BenchError, match="time needs a limit, as in time=5%"):
        gate.parse_rules(["time"])


def test_no_rule_is_refused() -> None:
    with pytest.raises(BenchError, match="no rule"):
        gate.parse_rules([""])


def arms(factor: float = 1.0, drift: float = 1.0, **changes: Any) -> list[Measurement]:
    """Return a run of an arm that is 1.5 times as fast as its baseline, or slower by a factor.

    `drift` slows everything, the baseline too.
    """
    trials = paired("fast", [1.5 * s / factor for s in STEADY], **changes)
    return [
        t.model_copy(
            update={
                "train_seconds": drift * (t.train_seconds or 0),
                "window_seconds": drift * (t.window_seconds or 0),
            }
        )
        for t in trials
    ]


def rows(found: Finding, arm: str = "fast") -> list[str]:
    return [line for line in found.text.splitlines() if f" {arm}: " in line]


def test_a_slow_down_beyond_chance_fails(tmp_path: Path) -> None:
    found = gated(tmp_path, arms(), arms(1.2), "time=5%")
    assert found.failed
    (row,) = rows(found)
    assert row.startswith("FAIL  fast: time +20.0% (between +1")
    assert row.endswith("; limit +5%)")


def test_a_slow_down_below_the_limit_passes(tmp_path: Path) -> None:
    found = gated(tmp_path, arms(), arms(1.2), "time=30%")
    assert not found.failed
    assert rows(found)[0].startswith("ok  fast: time +20.0%")


def test_a_speed_up_passes(tmp_path: Path) -> None:
    assert not gated(tmp_path, arms(), arms(0.5), "time=5%").failed


def test_a_machine_that_became_slower_does_not_fail(tmp_path: Path) -> None:
    found = gated(tmp_path, arms(), arms(drift=1.5), "time=5%")
    assert not found.failed
    assert rows(found)[0].startswith("ok  fast: time +0.0%")


def test_a_slow_down_shows_on_a_machine_that_became_faster(tmp_path: Path) -> None:
    assert gated(tmp_path, arms(), arms(1.2, drift=0.5), "time=5%").failed


def test_noise_does_not_fail(tmp_path: Path) -> None:
    before, after = paired("fast", NOISY), paired("fast", [n / 1.1 for n in NOISY])
    assert not gated(tmp_path, before, after, "time=5%").failed


def test_a_run_whose_baseline_differs_from_itself_is_named(tmp_path: Path) -> None:
    uneven = [*arms(), *paired(CONTROL, [1.3 * s for s in STEADY], first=40)]
    (line,) = rows(gated(tmp_path, arms(), uneven, "time=5%"), "noise")
    assert line.startswith("-  noise: the baseline of new is 1.30x as fast as itself (A/A): its")
    even = [*arms(), *paired(CONTROL, STEADY, first=40)]
    assert rows(gated(tmp_path / "even", arms(), even, "time=5%"), "noise") == []


def test_the_time_of_the_baseline_is_not_compared_between_runs(tmp_path: Path) -> None:
    found = gated(tmp_path, STEADY, times(9.0), "time=5%")
    assert (found.failed, found.unknown) == (False, True)
    assert found.text == (
        "?  baseline: time is not compared between runs, as the machine's speed drifts; the ratios "
        "of arms are"
    )
    beside = gated(tmp_path / "beside", arms(), arms(), "time=5%")
    assert (beside.failed, beside.unknown) == (False, False)


def test_one_pair_is_no_evidence(tmp_path: Path) -> None:
    found = gated(tmp_path, arms(), paired("fast", [0.5]), "time=5%")
    assert (found.failed, found.unknown) == (False, True)
    assert rows(found) == [
        "?  fast: time can't be told from 6 and 1 values; two on each side give a bound"
    ]


def test_the_same_run_passes(tmp_path: Path) -> None:
    rules = ("time=5%", "memory=5%", "accuracy=0.03")
    found = gated(tmp_path, arms(), arms(), *rules)
    assert (found.failed, found.unknown) == (False, False)


def test_what_chance_hides_is_not_told_and_how_much_would_have_shown_is(tmp_path: Path) -> None:
    wild = paired("fast", [1.5 * s for s in (0.7, 1.3, 0.8, 1.4, 0.75, 1.35)])
    found = gated(tmp_path, arms(), wild, "time=5%")
    assert (found.failed, found.unknown) == (False, True)
    (row,) = rows(found)
    assert re.fullmatch(
        r"\?  fast: time [+-][\d.]+% \(between -[\d.]+% and \+[\d.]+%; limit \+5%\); "
        r"can't be told: \+[\d.]+% would have shown",
        row,
    )


def test_a_limit_of_half_a_per_cent_is_said_as_it_is(tmp_path: Path) -> None:
    assert "; limit +0.5%)" in gated(tmp_path, arms(), arms(1.2), "time=0.5%").text


def test_a_setting_that_only_one_run_knows_is_no_other_value(tmp_path: Path) -> None:
    old = run(tmp_path, "old", arms())
    new = run(tmp_path, "new", arms(), settings={**SETTINGS, "depth": 3})
    found = gate.check(old, new, gate.parse_rules(gate.DEFAULT))
    assert "-  settings: only one of the runs knows depth" in found.text
    assert not found.failed


def test_more_memory_fails(tmp_path: Path) -> None:
    after = [measurement(pair=pair, memory=80e6) for pair in range(3)]
    found = gated(tmp_path, STEADY, after, "memory=10%")
    assert found.failed
    assert "memory +52" in found.text


def both_kinds(stepped: int, trained: int) -> list[Measurement]:
    """Return trials of the baseline that step, in 100 MB, and whole trainings, in 400 MB."""
    step: dict[str, Any] = {"kind": "step", "metric": None, "memory": 100e6}
    whole = [measurement(pair=stepped + n, memory=400e6) for n in range(trained)]
    return [*(measurement(pair=n, **step) for n in range(stepped)), *whole]


@pytest.mark.parametrize(("before", "after"), [((20, 20), (30, 10)), ((30, 10), (20, 20))])
def test_memory_is_that_of_whole_trainings_however_many_trials_only_stepped(
    tmp_path: Path, before: tuple[int, int], after: tuple[int, int]
) -> None:
    found = gated(tmp_path, both_kinds(*before), both_kinds(*after), "memory=10%")
    assert found.text.startswith("ok  baseline: memory +0.0% (between")


def test_memory_that_did_not_grow_at_all_is_no_error(tmp_path: Path) -> None:
    nothing = [measurement(pair=pair, memory=0) for pair in range(3)]
    found = gated(tmp_path, nothing, STEADY, "memory=10%")
    assert found.text.startswith("?  baseline: memory can't be told from 0 and 6 values")
    assert not found.failed


def test_a_lower_accuracy_fails_by_the_margin_of_the_run(tmp_path: Path) -> None:
    after = [measurement(pair=pair, metric=0.85) for pair in range(6)]
    found = gated(tmp_path, STEADY, after, "accuracy")
    assert found.failed
    assert found.text == (
        "FAIL  baseline: accuracy -0.0500 (between -0.0706 and -0.0294; limit -0.01)"
    )


def test_a_lower_accuracy_within_its_limit_passes(tmp_path: Path) -> None:
    after = [measurement(pair=pair, metric=0.85) for pair in range(3)]
    assert not gated(tmp_path, STEADY, after, "accuracy=0.1").failed


def test_a_new_run_can_not_loosen_its_own_gate(tmp_path: Path) -> None:
    after = [measurement(pair=pair, metric=0.85 - LUCK[pair]) for pair in range(6)]
    assert gated(tmp_path, [*map(good, range(6))], after, "accuracy", margin=0.5).failed


def test_a_metric_is_compared_seed_by_seed_each_seed_once(tmp_path: Path) -> None:
    before = [good(pair) for pair in range(6)]
    after = [measurement(pair=pair, metric=0.9 - 0.012 - LUCK[pair]) for pair in range(6)]
    found = gated(tmp_path, before, after, "accuracy")
    doubled = [*after, *(t.model_copy(update={"pair": 6 + t.pair}) for t in after)]
    doubled += [t.model_copy(update={"pair": 12 + t.pair, "arm": CONTROL}) for t in after]
    again = gated(tmp_path / "again", before, doubled, "accuracy")
    assert found.text == again.text


def test_seeds_that_no_run_shares_are_compared_as_they_are(tmp_path: Path) -> None:
    after = [measurement(pair=pair, seed=50 + pair, metric=0.8 - LUCK[pair]) for pair in range(6)]
    found = gated(tmp_path, [*map(good, range(6))], after, "accuracy")
    assert found.failed
    assert "accuracy -0.1000" in found.text


def test_trainings_that_fail_now_and_did_not_before_fail(tmp_path: Path) -> None:
    after = arms()
    for index in (1, 3):
        after[index] = failed("fast", after[index].pair, Status.DIVERGED, "loss is nan")
    found = gated(tmp_path, arms(), after, "time=5%")
    assert found.failed
    assert rows(found)[-1] == (
        "FAIL  fast: 2 of 6 trainings failed or ran out of time, none before"
    )


def test_an_arm_that_no_longer_runs_fails(tmp_path: Path) -> None:
    before = [*(measurement("fast", pair) for pair in range(3)), measurement(pair=3)]
    after = [failed("fast", 0, Status.OUT_OF_MEMORY, "no room"), measurement(pair=3)]
    found = gated(tmp_path, before, after, "time=5%")
    assert found.failed
    assert "FAIL  fast: no longer measured: out of memory: no room" in found.text


def test_an_arm_that_was_not_asked_for_again_is_named(tmp_path: Path) -> None:
    before = [measurement("fast"), measurement()]
    found = gated(tmp_path, before, [measurement()], "time=5%")
    assert not found.failed
    assert rows(found) == ["-  fast: only in old"]


MACHINE = {"cpu": "A", "cores": 2, "gpus": [], "packages": {"torch": "2.13.0"}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cpu": "B"}, "cpu A and B"),
        ({"cores": 64}, "cores 2 and 64"),
        ({"gpus": ["H200"]}, r"gpus \[\] and \['H200'\]"),
        ({"packages": {"torch": "2.9.0"}}, "torch 2.13.0 and 2.9.0"),
    ],
)
def test_runs_of_unlike_machines_are_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    old = run(tmp_path, "old", arms(), environment=MACHINE)
    new = run(tmp_path, "new", arms(1.2), environment={**MACHINE, **changes})
    rules = gate.parse_rules(["time=5%", "memory=5%", "accuracy"])
    with pytest.raises(BenchError, match=f"unlike machines: {said}; .* --across-machines"):
        gate.check(old, new, rules)
    found = gate.check(old, new, rules, across_machines=True)
    assert found.failed
    assert rows(found)[0].startswith("FAIL  fast: time +20.0%")
    assert [row[0] for row in rows(found, "baseline")] == ["-", "-", "-"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threads": 4}, "number of threads"),
        ({"device": "cuda"}, "device"),
        ({"baseline": "other"}, "baseline"),
        ({"settings": {**recipe().settings, "epochs": 9}}, "setting epochs"),
    ],
)
def test_runs_of_other_settings_are_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(BenchError, match=f"old and new differ in their {said}: nothing to compare"):
        gated(tmp_path, STEADY, STEADY, "time=5%", **changes)


def test_where_the_data_lies_may_differ(tmp_path: Path) -> None:
    there = {**recipe().settings, "data_dir": "/there"}
    assert not gated(tmp_path, arms(), arms(), "time=5%", settings=there).failed


def test_runs_without_a_common_arm_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="have no measured arm in common"):
        gated(tmp_path, STEADY, [], "time=5%")


@pytest.mark.parametrize(("factor", "fails"), [(1.05, True), (0.9, False), (1.001, False)])
def test_a_metric_of_which_lower_is_better_is_gated_by_its_direction_and_share(
    tmp_path: Path, factor: float, fails: bool
) -> None:
    before = [measurement(pair=n, metric=19_000 + 10 * LUCK[n]) for n in range(6)]
    after = [measurement(pair=n, metric=factor * (19_000 - 10 * LUCK[n])) for n in range(6)]
    judged_by = {
        "metric": "rmse", "metric_direction": "lower", "margin": 0.02, "margin_is_relative": True,
    }  # fmt: skip
    old = run(tmp_path, "old", before, **judged_by)
    new = run(tmp_path, "new", after, **judged_by)
    found = gate.check(old, new, gate.parse_rules(["accuracy"]))
    assert found.failed is fails
    if fails:
        assert "baseline: rmse +5.00" in found.text
        assert found.text.endswith("%; limit +2 %)")
