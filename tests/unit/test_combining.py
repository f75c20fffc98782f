"""What adds nothing is dropped from a combination, and the others' contributions are measured."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bench.analysis.comparison import compare_run
from bench.analysis.margin import automatic_margin, margin_now, screening_margin
from bench.analysis.metric import target_of
from bench.analysis.results import Aims
from bench.analysis.screening import LOOKS, Standing
from bench.analysis.standing import standings
from bench.analysis.tries import found_in
from bench.analysis.verdict import Verdict
from bench.launch.local import Runner
from bench.recipes.parts import part_of
from bench.recipes.resolve import make_techniques
from bench.records.header import Arm
from bench.records.measurement import Measurement, Status
from bench.records.recipe import Recipe, Use
from bench.records.run_folder import Folder
from bench.run.attributing import attribute
from bench.run.combining import (
    Combination,
    judged_by,
    raced_by,
    trains,
    without_passengers,
)
from bench.run.open_arms import seen_by
from bench.run.plan import Contrast
from bench.run.session import Session
from bench.trial.spec import Outcome, TrialSpec
from tests.records import header, measurement, paired, recipe

NAMES = ("early-stopping", "adaptive-batch", "compile")
TIMES = (1.0, 1.01, 0.99, 1.005)


class Machine:
    """Runs no trial: says how long it would have taken."""

    def __init__(
        self, gains: dict[str, float], broken: str = "", lose: Collection[str] = ()
    ) -> None:
        self.gains, self.broken, self.lose = gains, broken, {*lose}
        self.asked: list[TrialSpec] = []
        self.built: list[TrialSpec] = []

    def run(self, trial: TrialSpec) -> Outcome:
        (self.built if trial.kind == "build" else self.asked).append(trial)
        gain = math.prod(self.gains.get(use.name, 1.0) for use in trial.recipe.techniques)
        facts: dict[str, Any] = {
            "seed": trial.seed, "kind": trial.kind, "stage": trial.stage,
            "recipe": trial.recipe.model_dump(mode="json"),
            "seconds": TIMES[trial.seed % 4] / gain,
        }  # fmt: skip
        if self.lose and self.lose <= {use.name for use in trial.recipe.techniques}:
            facts["metric"] = 0.5  # together they lose what each alone keeps
        if trial.recipe.arm == self.broken:
            facts |= {"status": Status.NOT_APPLICABLE, "reason": "it can't be"}
        made = measurement(trial.arm, max(0, trial.pair), **facts)
        return Outcome(measurement=made, refused=False, home="")


class Quiet:
    """Shows nothing but keeps what is noted."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def opened(self, folder: Folder) -> None: ...
    def expect(self, trials: int) -> None: ...
    def begin(self, what: str) -> None: ...
    def done(self, record: Measurement) -> None: ...
    def note(self, text: str) -> None:
        self.noted.append(text)


Made = tuple[Session, Machine, Quiet]


def session(path: Path, machine: Machine, **changes: Any) -> Made:
    asked = tuple(Arm(techniques=(name,)) for name in NAMES)
    head = header(mode="full-optimization", first=4, repeats=30, arms=asked, **changes)
    path.mkdir(exist_ok=True)
    (path / "run.json").write_text(head.model_dump_json())
    show = Quiet()
    made = Session(
        Folder(path, head), cast(Runner, machine), cast(Any, None), recipe(), {}, show
    )  # fmt: skip
    return made, machine, show


def contrast(*names: str) -> Contrast:
    return Contrast("+".join(names), recipe(*names), recipe(), "full")


@pytest.mark.parametrize(
    ("name", "raced", "judged"),
    [
        ("gradient-checkpointing", "step", "step"),
        ("compile", "step", "full"),
        ("early-stopping", "full", "full"),
    ],
)
def test_other_roundings_are_chosen_by_steps_and_judged_by_whole_trainings(
    name: str, raced: str, judged: str
) -> None:
    used = make_techniques([name])
    assert (raced_by(used, Aims()), judged_by(used, Aims())) == (raced, judged)


def combined(*names: str) -> Combination:
    parts = tuple(contrast(name) for name in names)
    return Combination(contrast(*names), make_techniques(names), parts)


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"limits": {"inference time": 0.005}}, "full"),
        ({"limits": {"energy": 1000.0}}, "full"),
        ({"times_baseline": {"energy": 1.2}}, "full"),
        ({"times_baseline": {"inference time": 1.2}}, "step"),
        ({"limits": {"time": 60.0, "memory": 1e9, "file size": 1e6}}, "step"),
    ],
)
def test_what_steps_do_not_tell_of_a_limit_whole_trainings_do(
    asked: dict[str, Any], kind: str
) -> None:
    aims, used = Aims(**asked), make_techniques(["gradient-checkpointing"])
    assert (raced_by(used, aims), judged_by(used, aims)) == (kind, kind)
    whole = replace(combined("gradient-checkpointing", "early-stopping"), aims=aims)
    assert whole.of(whole.parts[:1]).whole.kind == kind


GAINS: dict[str, Any] = dict.fromkeys(NAMES, ("faster",))


def test_a_passenger_is_left_out_and_what_adds_stays(tmp_path: Path) -> None:
    made, _, show = session(tmp_path, Machine({"early-stopping": 1.3, "compile": 1.2}))
    found = without_passengers(made, combined(*NAMES), GAINS)
    assert found.whole.arm == "early-stopping+compile"
    assert found.whole.recipe == recipe("early-stopping", "compile")
    assert [part.arm for part in found.parts] == ["early-stopping", "compile"]
    assert show.noted == [f"{'+'.join(NAMES)} gains nothing by adaptive-batch: it is left out"]


def test_where_one_part_is_all_the_gain_it_is_left_alone(tmp_path: Path) -> None:
    made, _, _ = session(tmp_path, Machine({"compile": 1.2}))
    found = without_passengers(made, combined(*NAMES), GAINS)
    assert (found.whole.arm, found.whole.recipe) == ("compile", recipe("compile"))


def test_of_parts_that_lose_the_quality_together_the_slower_is_left_out(tmp_path: Path) -> None:
    gains = {"early-stopping": 1.5, "adaptive-batch": 2.0, "compile": 1.3}
    machine = Machine(gains, lose=("early-stopping", "adaptive-batch"))
    made, _, show = session(tmp_path, machine)
    found = without_passengers(made, combined(*NAMES), GAINS)
    assert found.whole.arm == "adaptive-batch+compile"
    assert show.noted == [f"{'+'.join(NAMES)} loses too much with early-stopping: it is left out"]


def test_a_part_that_loses_the_quality_is_left_out_before_any_that_only_adds_nothing(
    tmp_path: Path,
) -> None:
    machine = Machine({"early-stopping": 1.5, "adaptive-batch": 2.0}, lose=("compile",))
    made, _, show = session(tmp_path, machine)
    found = without_passengers(made, combined(*NAMES), GAINS)
    assert found.whole.arm == "early-stopping+adaptive-batch"
    assert show.noted == [f"{'+'.join(NAMES)} loses too much with compile: it is left out"]


def test_what_loses_the_quality_of_the_others_does_not_join(tmp_path: Path) -> None:
    gains = {"early-stopping": 1.5, "compile": 1.3}
    machine = Machine(gains, lose=("early-stopping", "compile"))
    made, _, show = session(tmp_path, machine)
    found = without_passengers(made, combined("early-stopping", "compile"), GAINS, ["compile"])
    assert found.whole.arm == "early-stopping"
    assert show.noted == ["early-stopping loses too much with compile: it is left out"]


def test_a_doubtful_part_joins_the_others_last_and_only_if_they_gain_by_it(tmp_path: Path) -> None:
    gains = {"early-stopping": 1.3, "adaptive-batch": 1.0, "compile": 1.2}
    made, machine, show = session(tmp_path, Machine(gains))
    doubtful = ["adaptive-batch", "compile"]
    found = without_passengers(made, combined(*NAMES), GAINS, doubtful)
    assert found.whole.arm == "early-stopping+compile"
    assert show.noted == ["early-stopping gains nothing by adaptive-batch: it is left out"]
    asked = Counter(trial.recipe.arm for trial in machine.asked)
    both = ("early-stopping+adaptive-batch", "early-stopping+compile", "early-stopping")
    assert asked == dict.fromkeys((*both, "baseline"), 2)


def test_a_part_that_can_not_be_left_out_stays(tmp_path: Path) -> None:
    machine = Machine({"compile": 1.2}, broken="compile")
    made, _, _ = session(tmp_path, machine)
    both = ("adaptive-batch", "compile")
    assert without_passengers(made, combined(*both), GAINS).whole.arm == "adaptive-batch+compile"


def test_contributions_are_what_was_put_in(tmp_path: Path) -> None:
    gains = {"early-stopping": 1.3, "adaptive-batch": 1.1, "compile": 1.2}
    made, machine, _ = session(tmp_path, Machine(gains))
    attribute(made, combined(*NAMES))
    found = compare_run(made.header, made.records, []).attribution
    assert found is not None
    assert (found.arm, found.objective, found.rounds) == ("+".join(NAMES), "time", 1)
    assert {c.technique: round(c.ratio.middle, 3) for c in found.contributions} == gains
    assert all(round(one.ratio.middle, 3) == 1 for one in found.interactions)
    assert {trial.stage for trial in machine.asked} == {"attribute"}
    # a round of every subset, and two of three of them until it is known how far pairs spread
    assert Counter(trial.seed for trial in machine.asked if trial.recipe.techniques) == {
        20_000: 7, 20_001: 3, 20_002: 3
    }  # fmt: skip


def test_subsets_whose_block_lost_its_baseline_are_measured_again(tmp_path: Path) -> None:
    class Unlucky(Machine):
        """Loses one trial of the baseline."""

        def run(self, trial: TrialSpec) -> Outcome:
            found = super().run(trial)
            if (trial.arm, trial.pair) != ("baseline", 0):
                return found
            lost = {"status": Status.FAILED, "reason": "it broke"}
            changed = found.measurement.model_copy(update=lost)
            return found.model_copy(update={"measurement": changed})

    gains = {"early-stopping": 1.3, "adaptive-batch": 1.1, "compile": 1.2}
    made, _, _ = session(tmp_path, Unlucky(gains))
    attribute(made, combined(*NAMES))
    assert sum(not trial.ok for trial in made.records) == 1
    found = compare_run(made.header, made.records, []).attribution
    assert found is not None
    assert {c.technique: round(c.ratio.middle, 3) for c in found.contributions} == gains


def test_rounds_end_once_a_part_is_told_to_gain_less_than_is_worth_finding(tmp_path: Path) -> None:
    made, machine, _ = session(tmp_path, Machine({"early-stopping": 1.3, "compile": 1.2}))
    attribute(made, combined(*NAMES))
    seeds = {trial.seed for trial in machine.asked}
    assert seeds == {20_000, 20_001, 20_002}  # adaptive-batch adds nothing


def test_what_combining_and_confirming_have_measured_is_not_measured_again(tmp_path: Path) -> None:
    gains = {"early-stopping": 1.3, "adaptive-batch": 1.1, "compile": 1.2}
    made, machine, _ = session(tmp_path, Machine(gains), margin=0.5)
    chosen = without_passengers(made, combined(*NAMES), GAINS)
    made.measure([chosen.whole, contrast("early-stopping")], "confirm")
    before = len(machine.asked)
    attribute(made, chosen)
    more = [trial for trial in machine.asked[before:] if trial.recipe.techniques]
    assert {trial.recipe.arm for trial in more} == {"adaptive-batch", "compile"}
    assert len(more) == 2
    found = compare_run(made.header, made.records, []).attribution
    assert found is not None
    assert {c.technique: round(c.ratio.middle, 3) for c in found.contributions} == gains


def test_a_part_that_clearly_costs_time_is_left_out_after_two_rounds(tmp_path: Path) -> None:
    gains = {"early-stopping": 0.5, "adaptive-batch": 1.1, "compile": 1.2}
    made, machine, _ = session(tmp_path, Machine(gains))
    assert without_passengers(made, combined(*NAMES), GAINS).whole.arm == "adaptive-batch+compile"
    asked = Counter(trial.recipe.arm for trial in machine.asked if trial.recipe.techniques)
    # the rest is measured again beside its own parts: in one block they differ least by chance
    assert asked == {
        "early-stopping+adaptive-batch+compile": 2, "adaptive-batch+compile": 4,
        "early-stopping+compile": 2, "early-stopping+adaptive-batch": 2,
        "adaptive-batch": 2, "compile": 2,
    }  # fmt: skip


def test_what_takes_a_combination_apart_judges_no_arm(tmp_path: Path) -> None:
    made, _, _ = session(tmp_path, Machine({"compile": 1.2, "early-stopping": 1.2}))
    attribute(made, combined("compile", "early-stopping"))
    found = compare_run(made.header, made.records, [])
    assert (found.arms, found.control, found.baseline_metric) == ((), None, None)


def test_a_subset_that_does_not_train_is_said_and_nothing_is_measured(tmp_path: Path) -> None:
    made, machine, show = session(tmp_path, Machine({}, broken="compile"))
    attribute(made, combined("compile", "early-stopping"))
    assert machine.asked == []
    assert show.noted == [
        "what each technique of compile+early-stopping adds can't be told: compile doesn't train"
    ]


def test_a_budget_ends_attribution_between_rounds(tmp_path: Path) -> None:
    made, machine, show = session(tmp_path, Machine({}), budget_seconds=3.0)
    attribute(made, combined("compile", "early-stopping"))
    assert len(machine.asked) == 4
    assert show.noted == ["the budget is spent after 1 round of attribute"]


def test_a_run_that_is_taken_up_again_makes_no_trial_twice(tmp_path: Path) -> None:
    gains = {"early-stopping": 1.3, "compile": 1.2}
    whole, _, _ = session(tmp_path / "whole", Machine(gains))
    expected = _optimized(whole)
    for stop in (3, 20, 41):
        folder = tmp_path / f"cut{stop}"
        made, machine, _ = session(folder, _Ends(gains, stop))
        with pytest.raises(KeyboardInterrupt):
            _optimized(made)
        made.folder.close()
        again, rest, _ = session(folder, Machine(gains), **made.header.model_dump(
            include={"raced", "blocks"}))  # fmt: skip
        assert _optimized(again) == expected
        keys = [(t.pair, t.arm) for t in (*machine.asked[:stop], *rest.asked)]
        assert len(keys) == len(set(keys)) == len(whole.records)


class _Ends(Machine):
    """Ends its process, as it were, after so many trials."""

    def __init__(self, gains: dict[str, float], after: int) -> None:
        super().__init__(gains)
        self.after = after

    def run(self, trial: TrialSpec) -> Outcome:
        if len(self.asked) >= self.after:
            raise KeyboardInterrupt
        return super().run(trial)


def _optimized(session: Session) -> tuple[str, list[tuple[Any, ...]]]:
    session.measure([contrast(name) for name in NAMES])
    chosen = without_passengers(session, combined(*NAMES), GAINS)
    session.measure([chosen.whole], "confirm")
    attribute(session, chosen)
    found = compare_run(session.header, session.records, [])
    return chosen.whole.arm, [(r.arm, r.verdict, r.pairs, r.time_ratio) for r in found.arms]


def test_a_part_has_the_settings_of_the_whole_and_no_others() -> None:
    base = Recipe(baseline="b", settings={"batch_size": 8, "lr": 1, "width": 4})
    large = base.model_copy(
        update={"settings": {**base.settings, "batch_size": 32}, "techniques": (Use(name="large"),)}
    )
    slim = base.model_copy(
        update={"settings": {**base.settings, "width": 2}, "techniques": (Use(name="slim"),)}
    )
    whole = base.model_copy(
        update={
            "settings": {**base.settings, "batch_size": 64, "width": 2},
            "techniques": (Use(name="large"), Use(name="slim")),
        }
    )
    assert part_of(whole, base, [large]).settings == {"batch_size": 64, "lr": 1, "width": 4}
    assert part_of(whole, base, [slim]) == slim
    assert part_of(whole, base, [large, slim]) == whole


def test_a_budget_is_overrun_by_one_trial_at_most(tmp_path: Path) -> None:
    made, machine, show = session(tmp_path, Machine({}), budget_seconds=100.0)
    ran = machine.run

    def slowly(trial: TrialSpec) -> Outcome:
        made.begun -= 30.0
        return ran(trial)

    machine.run = slowly  # type: ignore[method-assign]  # trials that take 30 s
    arms = [Contrast(name, recipe(name), recipe(), "full") for name in ("compile", "allocator")]
    made.measure(arms)
    assert len(machine.asked) == 3  # the budget's share of a screening without a winner is 85 s
    assert show.noted[-1] == ("the budget is spent after 0 rounds; still open: compile, allocator")


def test_an_automatic_margin_is_fixed_by_the_baseline_before_any_arm_is_judged(
    tmp_path: Path,
) -> None:
    made, machine, show = session(tmp_path, Machine({}), margin_auto=True)
    metrics = {0: 0.91, 1: 0.85, 2: 0.95, 3: 0.88}
    ran = machine.run
    seen: list[float] = []

    def varied(trial: TrialSpec) -> Outcome:
        seen.append(made.header.margin)
        metric = 0.5 if trial.recipe.techniques else metrics.get(trial.seed, 0.2)
        found = ran(trial)
        changed = found.measurement.model_copy(update={"metric": metric})
        return found.model_copy(update={"measurement": changed})

    machine.run = varied  # type: ignore[method-assign]  # metrics that differ by the seed
    made.measure([Contrast("compile", recipe("compile"), recipe(), "full")])
    fixed = automatic_margin([measurement(metric=m, seed=s) for s, m in metrics.items()],
                             target_of(made.header), 0.01)  # fmt: skip
    assert made.header.margin == fixed.size > 0.03
    assert (made.header.margin_seeds, made.header.margin_why) == (4, fixed.why)
    assert seen[:12] == [0.01] * 12  # four rounds of baseline, control and arm
    assert set(seen[12:]) <= {fixed.size}
    assert f"--margin auto: {fixed.size:.4g} of accuracy" in "".join(show.noted)
    written = json.loads((tmp_path / "run.json").read_text())
    assert (written["margin"], written["margin_seeds"]) == (fixed.size, 4)
    made.folder.fix_margin(0.5, 30, "later")
    assert made.header.margin == fixed.size


def test_arms_are_screened_by_what_an_automatic_margin_would_be_and_it_is_fixed_to_confirm(
    tmp_path: Path,
) -> None:
    made, _, show = session(tmp_path, Machine({}), margin_auto=True, screening=LOOKS)
    contrasts = [Contrast("compile", recipe("compile"), recipe(), "full")]
    made.measure(contrasts)
    assert made.header.margin_seeds is None
    seen = [measurement(metric=m, seed=s) for s, m in enumerate((0.91, 0.85))]
    now = automatic_margin(seen, target_of(made.header), 0.01).size
    assert margin_now(made.header, seen) == now > 0.02
    made.measure(contrasts, "confirm")
    assert made.header.margin_seeds is not None
    assert margin_now(made.header, seen) == made.header.margin
    assert "--margin auto" in "".join(show.noted)
    assert made.header.margin_wished == 0.01
    assert screening_margin(made.header, seen) == now  # whatever is fixed


def test_what_an_automatic_margin_screened_by_stands_where_a_run_goes_on(tmp_path: Path) -> None:
    made, _, _ = session(tmp_path, Machine({}), margin_auto=True, screening=LOOKS)
    trials = paired("compile", [1.5, 1.5], losses_of_metric=[0.08, 0.08], losses=())
    before = seen_by(made.header, trials)["compile"]
    standing = standings(made.header, trials, ["compile"], "test")
    fixed = made.header.model_copy(update={"margin": 0.2, "margin_wished": 0.01, "margin_seeds": 4})
    assert before.standing is Standing.LEFT
    assert seen_by(fixed, trials)["compile"] == before
    assert standings(fixed, trials, ["compile"], "test") == standing
    assert found_in(fixed, trials) == found_in(made.header, trials)


def test_verdicts_of_a_screening_stand_whatever_margin_is_fixed_to_confirm_by(
    tmp_path: Path,
) -> None:
    made, _, _ = session(tmp_path, Machine({}), margin_auto=True, screening=LOOKS)
    trials = paired("compile", [1.5] * 6, losses_of_metric=[0.08] * 6)
    fixed = made.header.model_copy(update={"margin": 0.2, "margin_wished": 0.01, "margin_seeds": 4})
    before, after = (compare_run(head, trials, ()).arms for head in (made.header, fixed))
    assert before == after
    assert [one.verdict for one in after] == [Verdict.ACCURACY_LOSS]
    fresh = [one.model_copy(update={"stage": "confirm", "pair": one.pair + 9}) for one in trials]
    assert [one.verdict for one in compare_run(fixed, [*trials, *fresh], ()).arms] == [Verdict.WIN]


def test_what_is_rehearsed_is_not_rehearsed_again_to_see_whether_it_trains(tmp_path: Path) -> None:
    made, machine, _ = session(tmp_path, Machine({}))
    for _ in range(3):
        assert trains(made, contrast("compile", "allocator"))
    assert sum(trial.kind == "build" for trial in machine.built) == 1
