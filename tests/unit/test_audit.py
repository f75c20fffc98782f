"""Published claims as a file states them, and what numbers and tables say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.analysis.audit import Held, held, needed
from bench.analysis.findings import of_arithmetic, of_trials
from bench.analysis.formula import checked, evaluated, shown
from bench.analysis.given import of_table
from bench.analysis.intervals import Interval
from bench.analysis.levels import Rule
from bench.analysis.rivals import beside
from bench.baseline import Target
from bench.errors import BenchError
from bench.records.audit import Claimed, Experiment, Stated
from bench.records.audit_file import audit_of, read_audit
from bench.records.given import rows_of
from bench.records.measurement import Evaluation, Status
from bench.run import auditing
from reports import claimed
from tests.records import failed, measurement

WHOLE: dict[str, Any] = {
    "name": "mine", "title": "Mine", "source": "A page.", "baseline": "mine.py:Net",
    "runs": {"one": {"before": {"epochs": 2}, "arms": {"fast": {"techniques": ["x"]}}}},
    "claims": [{
        "id": "speed", "says": "Twice as fast.", "quantity": "time", "form": "ratio",
        "claimed": 2.0, "measured": {"run": "one", "arm": "fast"},
    }],
}  # fmt: skip

MINE = """
from pydantic import BaseModel
from bench.baseline import Target
class Settings(BaseModel):
    epochs: int = 1
class Net:
    name, unit, target, settings = "net", "item", Target("rmse", None, (0, 2), "lower"), Settings
    def job(self, settings, device, seed): raise NotImplementedError
"""


def with_claim(**changes: Any) -> dict[str, Any]:
    return {**WHOLE, "claims": [{**WHOLE["claims"][0], **changes}]}


def stated(form: str, claimed: Any, **more: Any) -> Stated:
    quantity = "metric" if form in ("change", "value") else "time"
    return Stated.model_validate({"form": form, "claimed": claimed, "quantity": quantity, **more})


def test_an_audit_is_read_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "audit.yaml"
    file.write_text(yaml.safe_dump(WHOLE))
    audit = read_audit(file)
    assert audit.claims[0].range == (2.0, 2.0)
    assert audit.claims[0].how == "measured"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "a.yaml holds no audit: write name, title, source, runs and claims"),
        ({**WHOLE, "format": 2}, "format 2; this bench reads format 1"),
        ({**WHOLE, "colour": 1}, "colour: Extra inputs are not permitted"),
        (with_claim(measured={"run": "two", "arm": "fast"}),
         "claim speed: there is no run two; there are: one"),
        (with_claim(measured={"run": "one", "arm": "slow"}),
         "claim speed: the run one has no arm slow; there are: fast"),
        (with_claim(untestable="no"), r"give one of measured, given, .* \(claim speed\)"),
        (with_claim(form="less", claimed=30), "write 30 % as 0.3"),
        (with_claim(claimed=[3, 2]), "3 to 2 is no range: the lesser comes first"),
        (with_claim(claimed=[None, None]), "one of which may be null"),
        ({**WHOLE, "claims": WHOLE["claims"] * 2}, "the id speed is there twice"),
        ({**WHOLE, "claims": []}, "claims: "),
        ({**WHOLE, "name": ".."}, "name: String should match pattern"),
        (with_claim(claimed=True), "give a number as it is measured .* .got True. .claim speed"),
        (with_claim(claimed="30 %"), "a number as it is measured .1.3; 0.3 for 30 %., or"),
        (with_claim(claimed=[1, 2, 3]), "or from and to, as"),
        (with_claim(form="less", claimed=0.3, better="higher"), "no gain of what is better higher"),
        (with_claim(quantity="metric"), "better: say whether the metric is better higher or lower"),
        (with_claim(form="value", unit="Mb"), "time is in s, ms, .*, not in Mb; write one of"),
        (with_claim(quantity="metric", form="value", claimed=98, unit="%"), "write 0.98|0.98 for"),
        ({**with_claim(quantity="training time", form="value",
                       measured={"run": "one", "arm": "baseline"}),
          "runs": {"one": {**WHOLE["runs"]["one"], "trials": "steps"}}},
         "training time is of whole trainings, and the run one is of steps"),
    ],
)  # fmt: skip
def test_a_wrong_audit_is_one_line_that_says_what_and_where(content: Any, message: str) -> None:
    with pytest.raises(BenchError, match=message) as error:
        audit_of(content, "a.yaml")
    assert "\n" not in str(error.value)


def test_a_key_that_is_there_twice_is_refused_and_not_chosen_from(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: a\nruns:\n  one: {epochs: 1}\n  one: {epochs: 2}\n")
    with pytest.raises(BenchError, match="one is there twice in what begins on line 3"):
        read_audit(path)


@pytest.mark.parametrize("number", ["010", "0x10", "1:30", "-1:30.5"])
def test_a_number_that_yaml_reads_in_another_base_is_refused(tmp_path: Path, number: str) -> None:
    path = tmp_path / "base.yaml"
    path.write_text(f"name: a\nruns:\n  one: {{before: {{epochs: {number}}}}}\n")
    with pytest.raises(BenchError, match=f"line 3: {number} is a number of another base in YAML"):
        read_audit(path)
    path.write_text('name: a\nruns: ["010", 0.5, 0, -0.5, 1e-05, 10]\n')
    with pytest.raises(BenchError, match="title: Field required"):
        read_audit(path)


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    file = tmp_path / "audit.yaml"
    file.write_text("name: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(BenchError, match="is not YAML"):
        read_audit(file)


@pytest.mark.parametrize(
    ("claim", "interval", "expected"),
    [
        (stated("ratio", 2.0), Interval(1.95, 2.0, 2.05), Held.CONFIRMED),
        (stated("ratio", 2.0), Interval(2.2, 2.3, 2.4), Held.EXCEEDED),
        (stated("ratio", 2.0), Interval(1.5, 1.6, 1.7), Held.PARTLY),
        (stated("ratio", 2.0), Interval(1.2, 1.3, 1.35), Held.REFUTED),
        (stated("ratio", 2.0), Interval(0.8, 1.2, 1.8), Held.REFUTED),  # surely missed
        (stated("ratio", 2.0), Interval(1.5, 1.8, 2.2), Held.OPEN),
        (stated("ratio", 2.0), Interval(None, 2.0, None), Held.OPEN),
        (stated("ratio", 1.02), Interval(0.99, 1.0, 1.005), Held.REFUTED),
        (stated("ratio", 1.02), Interval(0.97, 1.0, 1.03), Held.OPEN),
        (stated("ratio", 1.006), Interval(0.98, 1.0, 1.02), Held.OPEN),
        (stated("ratio", 1.006), Interval(1.02, 1.03, 1.04), Held.EXCEEDED),
        (stated("ratio", 1.006), Interval(1.004, 1.006, 1.008), Held.CONFIRMED),
        (stated("less", [0.2, 0.4]), Interval(0.22, 0.3, 0.38), Held.CONFIRMED),
        (stated("less", [0.2, 0.4]), Interval(0.5, 0.55, 0.6), Held.EXCEEDED),
        (stated("less", [0.2, 0.4]), Interval(-0.1, 0.0, 0.02), Held.REFUTED),
        (stated("change", [-0.05, -0.03]), Interval(-0.02, -0.01, 0.0), Held.EXCEEDED),
        (stated("change", [-0.05, -0.03]), Interval(-0.2, -0.1, -0.08), Held.REFUTED),
        (stated("change", [-0.01, None]), Interval(-0.005, 0.0, 0.005), Held.CONFIRMED),
        (stated("value", [0.95, None], better="higher"), Interval(0.6, 0.7, 0.8), Held.REFUTED),
        (stated("value", 5_631_717), Interval(*[4_004_613.0] * 3), Held.REFUTED),
        (stated("value", [1e6, 2e6]), Interval(*[378_707.0] * 3), Held.REFUTED),
        (stated("value", [1e6, 2e6], better="lower"), Interval(*[378_707.0] * 3), Held.EXCEEDED),
        (stated("value", 3.0, better="lower"), Interval(*[19.6] * 3), Held.REFUTED),
        (stated("value", 0.00005), Interval(*[0.3] * 3), Held.REFUTED),  # 5e-05: not half of one
        (stated("value", 0.00005), Interval(*[0.000054] * 3), Held.CONFIRMED),
        (stated("value", 4.5e6), Interval(*[4.6e6] * 3), Held.REFUTED),
    ],
)
def test_a_claim_is_held_against_an_interval(
    claim: Stated, interval: Interval, expected: Held
) -> None:
    assert held(claim, interval) is expected


def test_a_claim_that_is_surely_missed_waits_for_whether_there_is_a_gain_at_all() -> None:
    assert held(stated("ratio", 2.0), Interval(0.8, 1.2, 1.8), final=False) is Held.OPEN


def test_an_open_claim_says_how_many_pairs_would_tell() -> None:
    assert needed(stated("ratio", 2.0), Interval(1.6, 1.8, 2.0), 10) == 39


def test_a_formula_is_arithmetic_of_named_numbers_and_nothing_else() -> None:
    numbers = {"seconds": 13.0, "batches": 544.0, "epochs": 10.0}
    assert evaluated("seconds * batches * epochs / 3600", numbers) == pytest.approx(
        19.644, abs=1e-3
    )
    assert shown("seconds * batches / 3600", numbers) == "13 * 544 / 3600"
    assert evaluated("max(2, 3) ** -1", {}) == pytest.approx(1 / 3)
    for formula, why in (
        ("__import__('os')", "is neither"), ("hours", "nothing is named hours"),
        ("1 / 0", "a division by zero"), ("9 ** 999", "a power of more than 64"), ("1 +", "syntax"),
    ):  # fmt: skip
        with pytest.raises(BenchError, match=why):
            evaluated(formula, {})


def test_a_claim_that_contradicts_itself_is_refuted_with_its_own_numbers() -> None:
    claim = Claimed.model_validate({
        "id": "hours", "says": "13 s a batch, 3 h in all.", "form": "value", "claimed": 3,
        "unit": "h", "better": "lower",
        "arithmetic": {"numbers": {"seconds": 13, "batches": 544, "epochs": 10},
                       "formula": "seconds * batches * epochs / 3600"},
    })  # fmt: skip
    found = of_arithmetic(claim)
    assert found.held is Held.REFUTED
    assert claimed.honestly(found) == "its own numbers give 19.6 h"


def table(*rows: str, form: str = "less", value: Any = 0.03) -> Any:
    claim = Claimed.model_validate({
        "id": "record", "says": "3 % less.", "form": form, "claimed": value,
        "given": {"table": "t.csv", "before": "old", "after": "new"},
    })  # fmt: skip
    return of_table(claim, rows_of(["arm,session,value", *rows], "t.csv"))


def test_arms_of_two_sessions_can_not_be_told_apart() -> None:
    rows = [f"{arm},{arm},{100 + i}" for arm in ("old", "new") for i in range(20)]
    found = table(*rows)
    assert found.held is Held.OPEN
    assert "a difference between sessions can't be told from the claim" in found.reason
    assert "neither pairs nor sessions" in table("old,,100", "new,,97").reason


def test_sessions_that_measured_both_arms_tell_the_claim() -> None:
    slow = {"mon": 100, "tue": 104, "wed": 98, "thu": 101}
    rows = [f"{arm},{day},{v * f}" for day, v in slow.items()
            for arm, f in (("old", 1), ("new", 0.97))]  # fmt: skip
    assert table(*rows).held is Held.CONFIRMED
    refuted = table(*rows, value=0.2)
    assert refuted.held is Held.REFUTED
    assert "less by 3.0 % [" in claimed.honestly(refuted)


def test_what_rose_where_less_was_claimed_is_said_to_be_more() -> None:
    claim = stated("less", 0.2)
    assert claimed.found(claim, Interval(-0.18, -0.17, -0.15)) == "more by 17.0 % [15.0 %, 18.0 %]"
    assert claimed.found(claim, Interval(-0.03, -0.01, 0.02)) == "more by 1.0 % [−2.0 %, 3.0 %]"


def test_many_sessions_of_one_arm_each_are_compared_by_their_means() -> None:
    rows = [f"{arm},{arm}{i},{v + i % 3}" for arm, v in (("old", 100), ("new", 50))
            for i in range(6)]  # fmt: skip
    found = table(*rows, value=0.5)
    assert (found.held, found.reason) == (Held.CONFIRMED, "by 6 and 6 sessions")


def test_a_table_with_another_column_is_refused_by_name() -> None:
    with pytest.raises(
        BenchError, match=r"t\.csv has no column value; its columns are arm and value"
    ):
        rows_of(["arm,seconds", "a,1"], "t.csv")
    with pytest.raises(BenchError, match=r"t\.csv, line 2: arm 'a', value 'x'"):
        rows_of(["arm,value", "a,x"], "t.csv")


def experiment(**changes: Any) -> Experiment:
    claim = {**WHOLE["claims"][0], "measured": {"run": "one", "arm": "fast"}, **changes}
    return Experiment.model_validate(
        {"name": "one", "arms": {"fast": {"settings": {"epochs": 1}, "work": "less work"}},
         "trials": "whole", "claims": [claim]}
    )  # fmt: skip


def test_a_projection_prints_its_formula_with_its_numbers() -> None:
    told = {"run": "one", "arm": "fast", "formula": "measured * epochs", "numbers": {"epochs": 3}}
    asked = experiment(measured=told, claimed=6.0)
    trials = [t for pair in range(6) for t in (
        measurement(pair=pair), measurement("fast", pair, seconds=0.5 + pair / 1000))]  # fmt: skip
    (found,) = of_trials(asked, trials, Rule(first=6, most=6))
    assert (found.held, found.work) == (Held.CONFIRMED, "less work")
    audit = audit_of({**WHOLE, "claims": [{**WHOLE["claims"][0], "measured": told}]}, "a")
    assert "projected: measured * epochs = measured * 3, measured = 1.99" in claimed.why(
        found, audit
    )


def test_a_formula_that_is_not_of_what_is_measured_is_refused_before_anything_is_run() -> None:
    checked("measured * epochs", {"epochs": 3}, "measured")
    for formula, numbers, why in (
        ("mesured * 2", {}, "names mesured, which is not among measured"),
        ("2 * epochs", {"epochs": 3}, "is not of `measured`"),
        ("measured", {"measured": 3}, "measured is what is measured; call the number otherwise"),
        ("measured *", {}, "can't be computed"),
    ):
        with pytest.raises(BenchError, match=why):
            checked(formula, numbers, "measured")


@pytest.mark.parametrize("better", [None, "higher"])
def test_a_change_of_a_metric_takes_its_better_side_for_better(
    better: str | None, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    claim = {**WHOLE["claims"][0], "quantity": "metric", "form": "change", "claimed": -0.1,
             "better": better}  # fmt: skip
    content = {**WHOLE, "claims": [claim],
               "runs": {"one": {"arms": {"fast": {"settings": {"epochs": 2}}}}}}  # fmt: skip
    audit = audit_of(content, "mine.yaml")
    with pytest.raises(BenchError, match="rmse is better lower; write better: lower"):
        auditing.started([(audit, tmp_path)], {})
    share = {**claim, "form": "value", "claimed": [None, 3.0], "better": "lower"}
    with pytest.raises(BenchError, match="rmse, or its change, lies in 0 to 2, and 3 is claimed"):
        auditing.started([(audit_of({**content, "claims": [share]}, "mine.yaml"), tmp_path)], {})
    same = {**content, "runs": {"one": {"arms": {"fast": {"settings": {"epochs": 1}}}}}}
    with pytest.raises(BenchError, match="the arm fast changes nothing: its settings are those"):
        auditing.started([(audit_of(same, "mine.yaml"), tmp_path)], {})


def test_what_does_not_apply_is_not_testable_here_and_says_why() -> None:
    record = failed("fast", -1, Status.NOT_APPLICABLE, "it needs CUDA")
    (found,) = of_trials(experiment(), [record], Rule())
    assert (found.held, found.reason) == (Held.UNTESTABLE, "it needs CUDA")


def test_a_rival_stands_beside_whole_trainings_with_what_a_share_of_the_better_costs() -> None:
    evaluations = tuple(
        Evaluation(epoch=n, step=n, train_seconds=n, values={"accuracy": value})
        for n, value in ((1, 0.7), (2, 0.91), (3, 0.95))
    )
    trials = [measurement(pair=pair, metric=0.95, metrics=evaluations, seconds=3.0)
              for pair in range(3)]  # fmt: skip
    found = beside(0.96, 0.4, trials, Target("accuracy"))
    assert found.trained_metric == pytest.approx(0.95)
    assert found.trained_seconds == 3.0
    assert found.costs == ((0.9, 0.4, 2.0), (0.95, 0.4, 3.0), (0.98, 0.4, 3.0))
    assert claimed.rival("a forest", found).startswith(
        "a forest reaches 0.9600 in 400 ms, whole trainings 0.9500 in 3.00 s; 90 % of the better: "
        "400 ms against 2.00 s"
    )
    assert beside(0.5, 0.4, trials, Target("accuracy")).costs[0] == (0.9, None, 2.0)
    assert "400 ms against at most 1.00 s" in claimed.rival("it", beside(0.7, 0.4, [
        t.model_copy(update={"metric": 0.7}) for t in trials], Target("accuracy")))  # fmt: skip


def test_a_rival_is_held_to_the_metric_that_judges_and_to_its_better_side() -> None:
    evaluations = tuple(
        Evaluation(epoch=n, step=n, train_seconds=n, values={"other": 2.0, "rmse": value})
        for n, value in ((1, 4.0), (2, 2.2), (3, 2.0))
    )
    trials = [measurement(arm, metric=2.0, metrics=evaluations, seconds=3.0)
              for arm in ("baseline", "baseline#2")]  # fmt: skip
    found = beside(4.0, 0.4, trials, Target("rmse", direction="lower"))
    assert found.costs == ((0.9, None, 2.0), (0.95, None, 3.0), (0.98, None, 3.0))


@pytest.mark.parametrize("name", list(auditing.shipped()))
def test_a_shipped_audit_names_what_there_is(name: str) -> None:
    record = auditing.started(auditing.found([name]), {})
    assert record.audits[0].name == name


def test_an_unknown_audit_gets_a_suggestion() -> None:
    with pytest.raises(BenchError, match='no audit named "timehat"; did you mean "timehut"'):
        auditing.found(["timehat"])
