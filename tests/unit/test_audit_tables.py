"""What tables of given measurements tell of a claim, however somebody wrote them."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.audit import Held
from bench.analysis.findings import Found
from bench.analysis.given import of_table
from bench.errors import BenchError
from bench.records.audit import Claimed
from bench.records.given import rows_of


def judged(text: str, form: str = "less", claimed: Any = 0.3, **more: Any) -> Found:
    claim = Claimed.model_validate({
        "id": "c", "says": "Less.", "form": form, "claimed": claimed, **more,
        "given": {"table": "t.csv", "before": "old", "after": "new"},
    })  # fmt: skip
    return of_table(claim, rows_of(text.splitlines(), "t.csv"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("arm,value,session\nold,10,5,mon", "t.csv, line 2: 4 fields under 3 columns; write dec"),
        ("arm,session,value\nold,10", "t.csv, line 2: 2 fields under 3 columns"),
        ("arm,value,value\nold,1,2", "t.csv has the column value twice"),
        ("arm;session;value\nold;mon;1", "t.csv has no column arm"),
        ("", "t.csv has no column arm"),
        ("arm,value\nold,1_0", "arm 'old', value '1_0': give a name and a finite number"),
        ("arm,value\nold,nan", "arm 'old', value 'nan': give a name and a finite number"),
    ],
)
def test_a_line_that_could_be_read_in_two_ways_is_refused(lines: str, message: str) -> None:
    with pytest.raises(BenchError, match=message.replace("(", r"\(")):
        rows_of(lines.splitlines(), "t.csv")


def test_pairs_are_counted_within_their_session() -> None:
    days = (("mon", 100), ("tue", 300))
    old = [f"old,{day},{pair},{value}" for day, value in days for pair in (1, 2)]
    new = [f"new,{day},{pair},{0.7 * value}" for day, value in reversed(days) for pair in (1, 2)]
    found = judged("\n".join(["arm,session,pair,value", *old, *new]))
    assert (found.held, found.reason, found.pairs) == (Held.CONFIRMED, "by 4 pairs", 4)
    with pytest.raises(BenchError, match="arm old has two values of pair 1 of session mon"):
        judged("\n".join(["arm,session,pair,value", *old, *new, old[0]]))


def test_a_single_pair_leaves_the_word_to_the_sessions() -> None:
    rows = [f"{arm},{day},{'' if day else 1},{value + day}"
            for arm, value in (("old", 100), ("new", 70)) for day in range(5)]  # fmt: skip
    found = judged("\n".join(["arm,session,pair,value", *rows]))
    assert found.reason == "by 5 sessions that measured both"
    assert judged("arm,pair,value\nold,1,100\nnew,1,70").reason == (
        "1 pair: it would need 3 or more"
    )


def test_a_ratio_of_what_is_better_higher_is_after_by_before() -> None:
    rows = [f"{arm},{day},{value + day}" for arm, value in (("old", 100), ("new", 140))
            for day in range(5)]  # fmt: skip
    text = "\n".join(["arm,session,value", *rows])
    found = judged(text, "ratio", 1.4, better="higher")
    assert found.held is Held.CONFIRMED
    assert found.found is not None
    assert found.found.middle == pytest.approx(1.392, abs=1e-3)
    assert judged(text, "ratio", 1.4).held is Held.REFUTED


@pytest.mark.parametrize("sessions", ["a", ""])
def test_equal_values_are_rounded_and_have_an_interval(sessions: str) -> None:
    rows = [f"{arm},{arm * bool(sessions)}{day},{value}" for arm, value in (("old", 10), ("new", 7))
            for day in range(3)]  # fmt: skip
    found = judged("\n".join(["arm,session,value", *rows])).found
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert 0.001 < found.high - found.low < 0.01


def test_a_ratio_of_nothing_is_refused_in_sessions_of_one_arm_too() -> None:
    rows = [f"{arm},{arm}{day},{day}" for arm in ("old", "new") for day in range(4)]
    with pytest.raises(BenchError, match="a table of ratios holds 0; they are of values above 0"):
        judged("\n".join(["arm,session,value", *rows]))
