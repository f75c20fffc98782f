"""Settings of techniques that won are tuned within a budget, and kept where shown better."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

import reports
from bench.analysis.aims import best
from bench.analysis.comparison import compare_run
from bench.analysis.tries import shown_better
from bench.launch.local import Runner
from bench.recipes.ranges import ranges_of
from bench.recipes.registry import TECHNIQUES, load_technique, names
from bench.recipes.resolve import make_techniques, with_uses
from bench.records.header import Arm
from bench.records.run_folder import Folder, reopen
from bench.run import modes, settling
from bench.run.modes import full_optimization
from bench.run.session import Session
from bench.run.settling import ranges_in
from bench.trial.spec import Outcome, TrialSpec
from tests.records import header, measurement, recipe
from tests.unit.test_session import Heard

SPEEDS = {3: (2.4, -0.2), 5: (2.0, 0.0), 10: (1.5, 0.0), 20: (1.2, 0.0)}
"""By patience: how much faster, and what is gained of the metric."""
SHARES = {0.2: (1.5, -0.2), 0.35: (1.3, 0.0), 0.5: (1.2, 0.0), 0.7: (1.1, 0.0)}


@dataclass
class Stopped:
    """Answers trials as early stopping and fewer steps would; `flat`: patience tells nothing.

    Where it has items `held_out`, only these show what is lost.
    """

    flat: bool = False
    held_out: bool = False
    most: int = 10_000
    asked: list[TrialSpec] = field(default_factory=list)

    def run(self, spec: TrialSpec) -> Outcome:
        if spec.kind != "build" and not spec.profile:
            self.asked.append(spec)
            if len(self.asked) > self.most:
                raise KeyboardInterrupt
        speed, gain, facts = 1.0, 0.0, spec.identity.model_dump(mode="json")
        for use in spec.recipe.techniques:
            faster, better = (
                SPEEDS[10 if self.flat else use.settings["patience"]]
                if use.name == "early-stopping"
                else SHARES[0.35 if self.flat else use.settings["share"]]
            )
            speed, gain = speed * faster, gain + better
        noise = random.Random(f"{spec.seed}/{spec.arm}").gauss(0, 0.01)
        if spec.recipe.techniques:
            facts |= {"effect": "learning", "work": "less work"}
        arm, pair = facts.pop("arm"), facts.pop("pair")
        seconds = math.exp(noise) / speed
        if self.held_out and spec.validates:
            facts["validation_loss"] = 0.5 - gain
        shown = 0.0 if self.held_out else gain
        made = measurement(arm, pair, seconds=seconds, metric=0.9 + shown + noise / 10, **facts)
        return Outcome(measurement=made)


@pytest.fixture(autouse=True)
def plainly_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve the recipes of a baseline that is made up."""

    def resolved(base: Any, baseline: Any, used: Any, probe_for: Any, places: Any) -> Any:
        return with_uses(base, used, places)

    monkeypatch.setattr(modes, "with_techniques", resolved)
    monkeypatch.setattr(settling, "with_techniques", resolved)


def run(path: Path, runner: Stopped, budget: float = 1e9) -> tuple[Session, Heard]:
    if path.is_dir():
        folder = reopen(path)
    else:
        path.mkdir()
        arms = tuple(Arm(techniques=(name,)) for name in ("early-stopping", "limit-steps"))
        head = header(
            mode="full-optimization", arms=arms, first=4, repeats=30, budget_seconds=budget
        )  # fmt: skip
        (path / "run.json").write_text(head.model_dump_json())
        folder = Folder(path, head)
    heard = Heard()
    session = Session(folder, cast(Runner, runner), cast(Any, None), recipe(), {}, heard)
    try:
        full_optimization(session)
    finally:
        folder.close()
    return session, heard


def winner_of(session: Session) -> str | None:
    found = best(compare_run(session.header, session.records, ()))
    return found.arm if found else None


@pytest.fixture
def needs_optuna() -> None:
    pytest.importorskip("optuna")


@pytest.mark.usefixtures("needs_optuna")
def test_what_is_faster_and_keeps_the_metric_is_exported_once_shown(tmp_path: Path) -> None:
    whole = Stopped()
    session, heard = run(tmp_path / "run", whole)
    assert winner_of(session) == "early-stopping:patience=5+limit-steps"
    assert not [note for note in heard.notes if "not shown to be better" in note]
    assert set(session.header.ranges) == {"early-stopping.patience", "limit-steps.share"}
    stages = {stage: {s.seed for s in whole.asked if s.stage == stage} for stage in (
        "tune", "confirm"
    )}  # fmt: skip
    assert stages["confirm"]
    assert not stages["confirm"] & stages["tune"]
    text = reports.render("md", reports.read(tmp_path / "run"))
    assert "chosen by what they gain in time beside the baseline of the same seed, among" in text
    assert "accuracy of the test part, as the baseline holds no items out" in text
    assert "early-stopping.patience=5, limit-steps.share=0.35" in text
    assert "of the choices failed or don't keep the quality. They were chosen" in text

    again = Stopped(most=len(whole.asked) - 9)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "again", again)
    resumed, _ = run(tmp_path / "again", Stopped())
    assert [t.key for t in resumed.records] == [t.key for t in session.records]
    assert winner_of(resumed) == winner_of(session)


@pytest.mark.usefixtures("needs_optuna")
def test_items_held_out_choose_where_a_baseline_has_them(tmp_path: Path) -> None:
    runner = Stopped(held_out=True)
    session, _ = run(tmp_path / "run", runner)
    assert winner_of(session) == "early-stopping:patience=5+limit-steps"
    assert {spec.stage for spec in runner.asked if spec.validates} == {"tune"}
    text = reports.render("md", reports.read(tmp_path / "run"))
    assert "among those that keep the loss, of items held out of training." in text


@pytest.mark.usefixtures("needs_optuna")
def test_settings_that_are_not_shown_to_be_better_are_left_as_they_are(tmp_path: Path) -> None:
    session, heard = run(tmp_path / "run", Stopped(flat=True))
    assert winner_of(session) == "early-stopping+limit-steps"
    said = "early-stopping+limit-steps is not shown to be better in other settings"
    assert said in heard.notes


def test_without_optuna_a_budget_tunes_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "is_installed", lambda: False)
    session, heard = run(tmp_path / "run", Stopped())
    assert winner_of(session) == "early-stopping+limit-steps"
    assert any("needs optuna; pip install 'trainpairs[search]'" in note for note in heard.notes)
    assert "tune" not in session.header.raced


def test_a_lead_is_shown_as_the_gain_of_an_arm_is() -> None:
    assert shown_better([0.1, 0.11, 0.09]) is None
    assert shown_better([0.1, 0.11, 0.09, 0.1]) is True
    assert shown_better([0.001, 0.002, -0.001, 0.0]) is False
    assert shown_better([0.1, 0.11, 0.09, 0.1, -math.inf]) is False


def test_the_ranges_of_all_techniques_are_what_their_settings_take() -> None:
    ranged = 0
    for name in names(TECHNIQUES):
        ((reference, technique),) = make_techniques([name])
        for setting, one in ranges_of(load_technique(name), name).items():
            ranged += 1
            for value in one.values:
                changed = {**technique.model_dump(), setting: value}
                assert type(technique).model_validate(changed), reference
        assert all(key.startswith(f"{name}.") for key in ranges_in([(reference, technique)]))
    assert ranged >= 10


def test_a_budget_that_is_spent_on_rehearsals_settles_nothing(tmp_path: Path) -> None:
    session, heard = run(tmp_path / "run", Stopped(), budget=1e-9)
    assert "the budget is spent before a pair is measured: give it more" in heard.notes
    assert not session.records
    assert not session.header.raced
    left = reports.render("md", reports.read(tmp_path / "run"))
    assert "2 arms of 2 were not measured: early-stopping and limit-steps" in left
