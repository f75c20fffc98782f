"""What is left of a combination that turns out, in fresh pairs, to lose too much."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.analysis.comparison import compare_run
from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE
from bench.run.combining import without_passengers
from bench.run.confirming import confirm
from bench.trial.spec import Outcome, TrialSpec
from tests.unit.test_combining import GAINS, NAMES, Machine, combined, session


class Late(Machine):
    """Loses the metric from seed 30 on: in none of the rounds that combine."""

    def __init__(self, gains: dict[str, float], *late: str) -> None:
        super().__init__(gains)
        self.late = {*late}

    def run(self, trial: TrialSpec) -> Outcome:
        self.lose = self.late if trial.seed >= 30 else set()
        return super().run(trial)


def test_a_combination_whose_fresh_pairs_lose_the_quality_is_confirmed_without_a_part_of_it(
    tmp_path: Path,
) -> None:
    gains = {"early-stopping": 1.5, "adaptive-batch": 2.0, "compile": 1.4}
    late = Late(gains, "early-stopping", "adaptive-batch")
    made, machine, show = session(tmp_path, late, screening=(1, 6), margin=0.3)
    chosen = without_passengers(made, combined(*NAMES), GAINS)
    assert chosen.whole.arm == "+".join(NAMES)
    confirm(made, compare_run(made.header, made.records, ()), {}, [], [chosen])
    fresh = Counter(trial.recipe.arm for trial in machine.asked if trial.stage == "confirm")
    assert {arm: count for arm, count in fresh.items() if arm != "baseline"} == {
        "+".join(NAMES): 4, "adaptive-batch+compile": 4
    }  # fmt: skip
    assert show.noted == [f"{'+'.join(NAMES)} loses too much with early-stopping: it is left out"]
    found = compare_run(made.header, made.records, ())
    assert {one.arm: one.verdict for one in found.arms if one.confirmed} == {
        "+".join(NAMES): Verdict.ACCURACY_LOSS, "adaptive-batch+compile": Verdict.WIN
    }  # fmt: skip


def test_what_a_tuned_combination_and_the_untuned_leave_alike_is_confirmed_once(
    tmp_path: Path,
) -> None:
    gains = {"early-stopping": 1.5, "adaptive-batch": 2.0, "compile": 1.4}
    machine = Late(gains, "early-stopping", "adaptive-batch")
    made, _, _ = session(tmp_path, machine, screening=(1, 6), margin=0.3)
    chosen = without_passengers(made, combined(*NAMES), GAINS)
    stopping, *others = chosen.whole.recipe.techniques
    uses = (stopping.model_copy(update={"settings": {"strength": 2}}), *others)
    other = chosen.whole.recipe.model_copy(update={"techniques": uses})
    name = "early-stopping:strength=2+adaptive-batch+compile"
    tuned = replace(chosen, whole=replace(chosen.whole, arm=name, recipe=other))
    confirm(made, compare_run(made.header, made.records, ()), {}, [], [chosen, tuned])
    fresh = Counter(trial.arm for trial in machine.asked if trial.stage == "confirm")
    assert {arm: n for arm, n in fresh.items() if not arm.startswith(BASELINE)} == {
        "+".join(NAMES): 4, name: 4, "adaptive-batch+compile": 4
    }  # fmt: skip


def test_no_error_is_shared_with_what_is_left_of_parts_that_only_steps_have_told(
    tmp_path: Path,
) -> None:
    names = ("compile", "mixed-precision")
    machine = Late(dict.fromkeys(names, 1.4), *names)
    made, _, show = session(tmp_path, machine, screening=(1, 6), margin=0.3)
    won: Any = dict.fromkeys(names, ("faster",))
    chosen = without_passengers(made, combined(*names), won)
    confirm(made, compare_run(made.header, made.records, ()), {}, [], [chosen])
    assert made.header.raced["confirm"] == 1
    fresh = {trial.recipe.arm for trial in machine.asked if trial.stage == "confirm"}
    assert fresh == {"baseline", "compile+mixed-precision"}
    assert show.noted == []
