"""What failed is told whole, and not tried for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

import reports
from bench.analysis.failing import fails_again
from bench.analysis.levels import Rule
from bench.records import failures
from bench.records.measurement import BASELINE, CONTROL, Measurement, Status
from bench.run.open_arms import next_round
from tests.golden import made_up
from tests.records import failed, header, measurement

SAID = 'Traceback (most recent call last):\n  File "boom.py", line 13\nValueError: <b>no</b>\n'


def raised(pair: int, reason: str = "ValueError: no", arm: str = "broken") -> Measurement:
    return failed(arm, pair, Status.FAILED, reason)


def test_an_arm_fails_again_where_it_failed_twice_in_one_way_and_never_ended_well() -> None:
    beside = [measurement(pair=pair) for pair in range(3)]
    assert not fails_again([*beside, raised(0)], "broken")
    assert fails_again([*beside, raised(0), raised(1)], "broken")
    assert not fails_again([*beside, raised(0), raised(1, "OSError: other")], "broken")
    assert not fails_again([*beside, raised(0), raised(1), measurement("broken", 2)], "broken")
    refused = failed("broken", -1, Status.NOT_APPLICABLE, "no CUDA")
    assert not fails_again([*beside, refused, refused], "broken")


def test_a_failure_beside_a_baseline_that_gave_nothing_is_none_of_the_arm() -> None:
    killed = [raised(pair, arm=arm) for pair in (0, 1) for arm in (BASELINE, "broken")]
    other = [measurement(pair=2), measurement("fast", 2)]
    assert fails_again(killed, BASELINE)
    assert not fails_again([*killed, *other], "broken")
    once = [*killed, *other, measurement(pair=3), raised(3)]
    assert not fails_again(once, "broken")
    assert fails_again([*once, measurement(pair=4), raised(4)], "broken")
    assert not fails_again([raised(0), raised(1)], "broken")  # the baseline has not run yet
    chosen = next_round(header(repeats=6), [*killed, *other], ["broken", "fast"], 2, Rule(6, 6),
                        "test", 0.0)  # fmt: skip
    assert chosen.measured == ["broken", "fast"]


@pytest.mark.parametrize("rule", [Rule(6, 6), Rule(4, 30)])
def test_it_is_not_tried_a_third_time(rule: Rule) -> None:
    head = header(first=rule.first if rule.first != rule.most else None, repeats=rule.most)
    trials = [t for n in range(2) for t in (measurement(pair=n), raised(n),
              measurement("fast", n), measurement(CONTROL, n))]  # fmt: skip
    arms = ["broken", "fast", CONTROL]
    chosen = next_round(head, trials, arms, 2, rule, "test", 0.0)
    assert set(chosen.measured) == {"fast", CONTROL}
    assert next_round(head, trials, ["broken", CONTROL], 2, rule, "test", 0.0).measured == []


def test_nothing_is_tried_beside_a_baseline_that_fails_again() -> None:
    trials = [t for n in range(2) for t in (raised(n, arm=BASELINE), measurement("fast", n))]
    rule = Rule(6, 6)
    assert next_round(header(repeats=6), trials, ["fast"], 2, rule, "test", 0.0).measured == []


def test_what_a_failed_trial_said_is_kept_and_shown_as_text(tmp_path: Path) -> None:
    trials = [
        *made_up.pairs("broken", lambda n: made_up.lost("broken", n, Status.FAILED, "no"), 0, 2),
        *made_up.control(2),
    ]
    path = made_up.write(tmp_path / "run", made_up.header("test", ("broken",)), trials)
    (tmp_path / failures.LOG).write_text(SAID)
    failures.keep(path, trials[1], tmp_path)
    failures.keep(path, trials[0], tmp_path)
    assert [file.name for file in (path / "failures").iterdir()] == ["broken-pair-0.txt"]
    run = reports.read(path)
    assert run.tracebacks == [("broken, pair 0", "failures/broken-pair-0.txt", SAID.strip())]
    page = reports.render("html", run)
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in page
    assert 'href="failures/broken-pair-0.txt"' in page
    assert "[failures/broken-pair-0.txt](failures/broken-pair-0.txt)" in reports.render("md", run)
    assert "not finished" not in reports.render("md", run)


def test_an_arms_name_leads_nowhere_and_a_link_is_not_followed(tmp_path: Path) -> None:
    assert failures.name_of(raised(0, arm="../../x/y")) == "failures/__.._x_y-pair-0.txt"
    (tmp_path / "secret").write_text("SECRET")
    (tmp_path / "failures").mkdir()
    (tmp_path / failures.name_of(raised(0))).symlink_to(tmp_path / "secret")
    assert failures.read(tmp_path, raised(0)) is None
