"""The gate for CI: has a run become worse than another?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.analysis import gate
from bench.analysis.gate import Finding, Rule
from bench.errors import BenchError
from bench.records.measurement import CONTROL, Measurement, Status
from tests.records import failed, header, measurement, recipe

STEADY = (1.0, 1.01, 0.99, 1.0, 1.005, 0.995)
NOISY = (0.7, 1.4, 1.0, 1.3, 0.8, 1.1)


def run(tmp_path: Path, name: str, trials: Sequence[Measurement | float], **changes: Any) -> Path:
    """Write a run of the baseline: from its records, or from seconds."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "run.json").write_text(header(run=name, **changes).model_dump_json())
    records = [
        t if isinstance(t, Measurement) else measurement(pair=pair, seconds=t)
        for pair, t in enumerate(trials)
    ]
    lines = [record.model_dump_json() + "\n" for record in records]
    (folder / "trials.jsonl").write_text("".join(lines))
    return folder


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


def test_a_slow_down_beyond_chance_fails(tmp_path: Path) -> None:
    found = gated(tmp_path, STEADY, times(1.2), "time=5%")
    assert found.failed
    assert found.text.startswith("FAIL  baseline: time +20.0% (at least +1")
    assert found.text.endswith("; limit +5%)")


def test_a_slow_down_below_the_limit_passes(tmp_path: Path) -> None:
    found = gated(tmp_path, STEADY, times(1.2), "time=30%")
    assert not found.failed
    assert found.text.startswith("ok  baseline: time +20.0%")


def test_a_speed_up_passes(tmp_path: Path) -> None:
    assert not gated(tmp_path, STEADY, times(0.5), "time=5%").failed


def test_noise_does_not_fail(tmp_path: Path) -> None:
    assert not gated(tmp_path, NOISY, times(1.1, NOISY), "time=5%").failed


def test_the_same_run_passes(tmp_path: Path) -> None:
    rules = ("time=0%", "memory=0%", "accuracy=0")
    assert not gated(tmp_path, STEADY, STEADY, *rules).failed


def test_more_memory_fails(tmp_path: Path) -> None:
    after = [measurement(pair=pair, memory=80e6) for pair in range(3)]
    found = gated(tmp_path, STEADY, after, "memory=10%")
    assert found.failed
    assert "memory +52" in found.text


def test_memory_that_did_not_grow_at_all_is_no_error(tmp_path: Path) -> None:
    nothing = [measurement(pair=pair, memory=0) for pair in range(3)]
    found = gated(tmp_path, nothing, STEADY, "memory=10%")
    assert found.text == "baseline: memory unknown"


def test_a_lower_accuracy_fails_by_the_margin_of_the_run(tmp_path: Path) -> None:
    after = [measurement(pair=pair, metric=0.85) for pair in range(3)]
    found = gated(tmp_path, STEADY, after, "accuracy")
    assert found.failed
    assert found.text == "FAIL  baseline: accuracy -0.0500 (limit -0.01)"


def test_a_lower_accuracy_within_its_limit_passes(tmp_path: Path) -> None:
    after = [measurement(pair=pair, metric=0.85) for pair in range(3)]
    assert not gated(tmp_path, STEADY, after, "accuracy=0.1").failed


def test_the_control_counts_as_the_baseline(tmp_path: Path) -> None:
    after = [measurement(CONTROL, pair, seconds=1.2 * s) for pair, s in enumerate(STEADY)]
    found = gated(tmp_path, STEADY, [*after, measurement(pair=9, seconds=1.2)], "time=5%")
    assert found.failed
    assert "\n" not in found.text


def test_an_arm_that_no_longer_runs_fails(tmp_path: Path) -> None:
    before = [*(measurement("fast", pair) for pair in range(3)), measurement(pair=3)]
    after = [failed("fast", 0, Status.OUT_OF_MEMORY, "no room"), measurement(pair=3)]
    found = gated(tmp_path, before, after, "time=5%")
    assert found.failed
    assert "FAIL  fast: no longer measured: out of memory: no room" in found.text


def test_an_arm_that_was_not_asked_for_again_is_left_out(tmp_path: Path) -> None:
    before = [measurement("fast"), measurement()]
    found = gated(tmp_path, before, [measurement()], "time=5%")
    assert not found.failed
    assert "fast" not in found.text


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
    assert not gated(tmp_path, STEADY, STEADY, "time=5%", settings=there).failed


def test_runs_without_a_common_arm_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="have no measured arm in common"):
        gated(tmp_path, STEADY, [], "time=5%")
