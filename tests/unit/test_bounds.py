"""What a technique can gain at most is known before it is raced; no winner is left out by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import reports
from bench.analysis.bounds import bounds_of, broken, missed, out_of_reach
from bench.analysis.comparison import compare_run
from bench.analysis.intervals import Interval
from bench.analysis.results import Aims, ArmResult, Bound
from bench.analysis.verdict import Verdict
from bench.errors import BenchError
from bench.recipes import registry
from bench.recipes.resolve import make_techniques
from bench.recipes.script import ScriptBaseline, ScriptSettings
from bench.records.measurement import BASELINE, Measurement, Status
from bench.records.profile import Profile
from bench.records.recipe import Recipe
from bench.run.bounding import Bounding
from bench.technique import PASSES, Part, Parts
from bench.trial.spec import Outcome, TrialSpec
from reports.bounds import bounds as bounds_table
from tests.golden import made_up
from tests.records import MIB, header, measurement, paired
from tests.unit.test_combining import Machine, session

PHASES = {"data_wait": 0.004, "forward": 0.4, "backward": 0.5, "update": 0.096}
BYTES = {
    "built_bytes": 10 * MIB, "built_peak_bytes": 12 * MIB, "backward_peak_bytes": 49 * MIB,
    "parameter_bytes": 4 * MIB, "gradient_bytes": 4 * MIB, "optimizer_state_bytes": 8 * MIB,
}  # fmt: skip
"""Of a peak of 50 MiB."""


def profiled(**changes: Any) -> Measurement:
    facts = {"phase_seconds": PHASES, **BYTES, **changes}
    return measurement(kind="step", phase_seconds=PHASES, profile=Profile.model_validate(facts))


def most(
    touches: Parts | None, effect: str = "rounding", **changes: Any
) -> dict[str, float | None]:
    one = profiled(**changes)
    found = bounds_of(one, touches, effect, one.profile)
    return {name: bound and round(bound.ratio, 3) for name, bound in found.items()}


@pytest.mark.parametrize(
    ("limit", "bounded"), [(1000, {"time"}), (60, {"time", "memory"}), (40, {"time", "memory"})]
)
def test_what_is_only_limited_is_no_gain_where_the_baseline_is_far_within(
    limit: int, bounded: set[str]
) -> None:
    one, aims = profiled(), Aims(objectives=("time",), limits={"memory": float(limit * MIB)})
    found = bounds_of(one, Parts({Part.ACTIVATIONS}), "exact", one.profile, aims)
    assert {*found} == bounded
    assert (out_of_reach(found) is None) == ("memory" in bounded)


def test_what_is_limited_may_be_a_gain_where_the_profile_does_not_tell_it() -> None:
    aims = Aims(objectives=("memory",), limits={"time": 1000.0})
    for epochs, bounded in ((5, {"memory"}), (None, {"time", "memory"})):
        one = profiled().model_copy(update={"planned_epochs": epochs})
        assert {*bounds_of(one, Parts(), "exact", one.profile, aims)} == bounded


def test_what_touches_nothing_gains_nothing() -> None:
    assert most(Parts()) == {"time": 1.0, "memory": 1.0}


def test_what_may_touch_anything_has_no_bound() -> None:
    assert most(None) == {"time": None, "memory": None}


def test_time_is_bounded_by_all_that_is_not_touched() -> None:
    assert most(Parts({Part.DATA_WAIT}))["time"] == pytest.approx(1 / (1 - 2 * 0.004), abs=1e-3)
    assert most(Parts({Part.UPDATE}))["time"] == pytest.approx(1 / (1 - 2 * 0.096), abs=1e-3)
    assert most(PASSES)["time"] is None


def test_the_larger_share_counts_of_warm_and_cold_steps() -> None:
    cold = {**PHASES, "data_wait": 0.25}
    found = most(Parts({Part.DATA_WAIT}), phase_seconds=cold)
    assert found["time"] == pytest.approx(1 / (1 - 2 * 0.25 / 1.246), abs=1e-3)


def test_the_phases_of_a_step_of_ones_own_bound_nothing() -> None:
    assert most(Parts({Part.UPDATE}), own_step=True)["time"] is None
    assert most(Parts({Part.DATA_WAIT}), own_step=True)["time"] is not None


def test_where_training_ends_by_itself_another_course_may_end_it_sooner() -> None:
    assert most(Parts(), "learning", stops=True)["time"] is None
    assert most(Parts(), "rounding", stops=True)["time"] == 1.0


def test_memory_is_bounded_by_tensors_that_stay_and_by_peaks_before_it_acts() -> None:
    assert most(Parts({Part.UPDATE}))["memory"] == pytest.approx(50 / (50 - 2 * 1), abs=1e-3)
    assert most(Parts({Part.DATA}))["memory"] == pytest.approx(50 / (50 - 2 * 10), abs=1e-3)
    assert most(PASSES)["memory"] is None
    full = most(PASSES, parameter_bytes=32 * MIB)
    assert full["memory"] == pytest.approx(50 / (50 - 2 * 6), abs=1e-3)


def test_data_that_may_have_made_the_peak_while_it_was_read_has_the_loosest_bound() -> None:
    assert most(Parts({Part.DATA}), built_peak_bytes=50 * MIB)["memory"] is None


def test_deployed_models_count_for_effects_that_deploy_another() -> None:
    found = most(Parts({Part.INFERENCE}), "model")
    assert found == {"time": 1.0, "memory": 1.0, "inference time": None, "file size": 1.0}


def test_only_what_is_bounded_everywhere_is_out_of_reach() -> None:
    one = profiled()
    loading = bounds_of(one, Parts({Part.DATA_WAIT}), "exact", one.profile)
    assert out_of_reach(loading) == (
        "at most 1.008x in time (data wait is 0.4 % of a step, allowed for twice), "
        "at most 1.000x in memory (it takes none away)"
    )
    assert out_of_reach(bounds_of(one, Parts({Part.UPDATE}), "exact", one.profile)) is None
    assert out_of_reach(bounds_of(one, None, "exact", one.profile)) is None


def test_a_gain_beyond_its_bound_is_told() -> None:
    ratio = Interval(1.2, 1.3, 1.4)
    arm = ArmResult(
        arm="fast", verdict=Verdict.WIN, reason="", time_ratio=ratio,
        bounds=(Bound("time", 1.1, "made up"),),
    )  # fmt: skip
    assert broken([arm]) == [
        "fast gained at least 1.200x in time, beyond its bound of 1.100x: it declares to touch too "
        "little."
    ]
    assert broken([arm.model_copy(update={"bounds": (Bound("time", 1.25, "made up"),)})]) == []


@pytest.mark.parametrize("name", made_up.RUNS)
def test_no_winner_of_a_recorded_run_would_have_been_left_out(name: str, tmp_path: Path) -> None:
    import reports

    run = reports.read(made_up.RUNS[name](tmp_path / "run"))
    declared = {
        technique: ((kind := registry.load_technique(technique)).touches, str(kind.effect))
        for technique in registry.names(registry.TECHNIQUES)
    }
    assert missed(run.comparison.arms, run.trials, declared) == []


def test_a_winner_that_would_have_been_left_out_is_named() -> None:
    trials = paired("fast", (1.5,) * 6, baseline={"phase_seconds": PHASES})
    arms = compare_run(header(), trials, ()).arms
    assert arms[0].gains == ("faster",)
    declared = {"fast": (Parts({Part.DATA_WAIT}), "learning")}
    assert missed(arms, trials, declared) == [
        "fast: at most 1.008x in time (data wait is 0.4 % of a step, allowed for twice), at most "
        "1.000x in memory (it takes none away)"
    ]
    assert missed(arms, trials, {"fast": (None, "learning")}) == []


def test_parts_that_nobody_knows_bound_nothing() -> None:
    one = profiled()
    found = bounds_of(one, ("forwards",), "rounding", one.profile)
    assert found == {"time": None, "memory": None}


def test_a_technique_that_declares_an_unknown_part_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from bench.technique import Effect, Stage, Technique\n"
        "class Own(Technique):\n"
        "    name, stage, effect = 'own', Stage.LOOP, Effect.EXACT\n"
        "    touches = frozenset({'forwards'})\n"
    )
    with pytest.raises(BenchError, match="touches forwards; there are: data_wait, forward, "):
        registry.load_technique(f"{file}:Own")


class Watched(Machine):
    """Profiles as it is told; arms' first trials set up, or are rehearsed, for so long."""

    def __init__(self, setup: float | None = 0.0, step: float = 0.1) -> None:
        super().__init__({})
        self.setup, self.step = setup, step

    def run(self, trial: TrialSpec) -> Outcome:
        self.asked.append(trial)
        found = profiled() if trial.profile else measurement(trial.arm, 0, kind="step")
        if trial.arm != BASELINE and self.setup is None:
            found = found.model_copy(update={"status": Status.TIMED_OUT, "reason": "late"})
        elif trial.arm != BASELINE:
            found = found.model_copy(update={"warmup_step_seconds": (self.setup or 0.0, 0.1)})
        return Outcome(measurement=found.model_copy(update={"pair": trial.pair}))


def bounding(path: Path, machine: Watched) -> Bounding:
    made, _, _ = session(path, machine)
    return Bounding.of(made, measurement(step_seconds=(0.1, 0.1)))


def reason(found: Bounding, name: str) -> str | None:
    record = found.session.refused(name)
    assert record is None or record.status is Status.BOUNDED
    return record.reason if record else None


def test_what_is_bounded_is_recorded_with_what_it_touches_and_stays_so(tmp_path: Path) -> None:
    found = bounding(tmp_path, Watched())
    mixup, stopping = (make_techniques([name]) for name in ("mixup", "early-stopping"))
    assert found.excludes("mixup", mixup)
    assert not found.excludes("early-stopping", stopping)
    record = found.session.refused("mixup")
    assert record is not None
    assert record.touches == ()
    again = Bounding.of(found.session, found.rehearsed)
    assert again.excludes("mixup", mixup)
    assert len(found.session.probed) == 1
    assert len(found.session.records) == 1


@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        (None, "its first steps take more than 2.5 s, the baseline's whole training about 2.5 s"),
        (9.0, "its first steps take 8.9 s, the baseline's whole training about 2.5 s"),
        (0.2, None),
    ],
)
def test_a_set_up_longer_than_the_whole_training_is_told_before_the_race(
    tmp_path: Path, setup: float | None, expected: str | None
) -> None:
    found = bounding(tmp_path, Watched(setup))
    used = make_techniques(["compile"])
    dear = found.too_dear("compile", used, found.session.recipe, measurement())
    assert dear == (expected is not None)
    assert reason(found, "compile") == expected


@pytest.mark.parametrize("metric", ["loss: (.*)", None])
def test_of_a_script_a_whole_training_is_run_where_it_tells_when_a_set_up_is_paid_back(
    tmp_path: Path, metric: str | None
) -> None:
    class Alone(Watched):
        """Plans no epochs, so that only its end tells how long it takes."""

        def run(self, trial: TrialSpec) -> Outcome:
            found = super().run(trial).measurement
            plain = {"planned_epochs": None, "kind": trial.kind}
            return Outcome(measurement=found.model_copy(update=plain))

    machine = Alone(9.0)
    found = bounding(tmp_path, machine)
    script = ScriptBaseline("train.py")
    settings = ScriptSettings(data_dir=".", script="train.py", metric=metric)
    plain = Recipe(
        baseline="train.py:__main__",
        settings=settings.model_dump(mode="json"),
        files={"train.py": "0" * 64},
    )
    found.session.baseline, found.session.recipe = script, plain
    dear = found.too_dear("compile", make_techniques(["compile"]), plain, measurement())
    whole = [one for one in machine.asked if one.kind == "full"]
    assert dear == (metric is not None)
    assert [(one.identity.arm, one.timeout_seconds) for one in whole] == [("baseline#2", 60.0)] * (
        metric is not None
    )


def test_a_caution_that_a_rehearsed_step_bears_out_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = bounding(tmp_path, Watched())
    used = make_techniques(["mixed-precision"])
    kind = type(used[0][1])
    slow, quick = measurement(step_seconds=(0.9, 1.3)), measurement(step_seconds=(0.15, 0.1))
    monkeypatch.setattr(kind, "caution", lambda self, device: "no such instructions")
    assert not found.too_dear("mixed-precision", used, found.session.recipe, quick)
    assert found.too_dear("mixed-precision", used, found.session.recipe, slow)
    assert reason(found, "mixed-precision") == (
        "no such instructions; a rehearsed step took 0.9 s, the baseline's 0.1 s"
    )
    monkeypatch.setattr(kind, "caution", lambda self, device: None)
    assert not found.too_dear("other", used, found.session.recipe, slow)


def test_once_arms_are_raced_none_is_taken_out_by_a_clock(tmp_path: Path) -> None:
    found = bounding(tmp_path, Watched(9.0))
    found.session.folder.race("test", 3)
    used = make_techniques(["compile"])
    assert not found.too_dear("compile", used, found.session.recipe, measurement())


def test_what_was_gained_stands_beside_the_most_that_could_be(tmp_path: Path) -> None:
    run = reports.read(made_up.searched(tmp_path / "run"))
    told = (Bound("time", 1.3, "half of it is touched"),)
    arms = tuple(arm.model_copy(update={"bounds": told}) for arm in run.comparison.arms)
    found = replace(run, comparison=run.comparison.model_copy(update={"arms": arms}))
    made = bounds_table(found)
    assert made is not None
    assert ("mixed-precision", "1.30×", "1.20× [1.19, 1.21]", "–") in [r[:4] for r in made.rows]
    left = arms[0].model_copy(update={"verdict": Verdict.BOUNDED})
    made = bounds_table(
        replace(run, comparison=run.comparison.model_copy(update={"arms": (left,)}))
    )
    assert made is not None
    assert made.rows[0][1:4] == ("1.30×", "not raced", "–")
