"""A search for settings chooses by what is held out; fresh pairs of the test part judge it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import Field

import reports
from bench.analysis.aims import best
from bench.analysis.claims import judged
from bench.analysis.comparison import compare_run
from bench.analysis.proof import Proof
from bench.baseline import Settings, Target
from bench.errors import BenchError
from bench.launch.local import Runner
from bench.recipes.ranges import searched
from bench.records.claim import Exported
from bench.records.header import Header
from bench.records.measurement import Evaluation, Measurement, Status
from bench.records.planned import check_planned
from bench.records.ranges import TUNED
from bench.records.recipe import Recipe
from bench.records.run_folder import Folder, reopen
from bench.run.export import exported_of
from bench.run.forecast import PlanOnly
from bench.run.modes import full_optimization
from bench.run.request import Request
from bench.run.search_forecast import SearchForecast
from bench.run.session import Session
from bench.run.start import searched_over
from bench.trial.spec import Outcome, TrialSpec
from reports import undone
from tests.records import header, measurement
from tests.unit.test_session import Heard

pytest.importorskip("optuna")
HELD_OUT = "validation_accuracy"


class TunedSettings(Settings):
    epochs: int = Field(5)
    lr: float = Field(0.001, json_schema_extra={"range": [0.001, 0.01, 0.1, 1.0]})
    width: int = Field(1, json_schema_extra={"range": {"low": 1, "high": 8}})


class Tunable:
    """A baseline that is best at lr=0.1, and the slower the wider it is; nothing is built of it."""

    name = "tunable"
    unit = "items"
    target = Target("accuracy", chosen_by=HELD_OUT)
    settings = TunedSettings

    def job(self, settings: Any, device: Any, seed: int) -> Any:
        raise NotImplementedError


@dataclass
class Trained:
    """Answers trials as if they had been made; the test part likes another rate than is best."""

    misled: bool = False
    most: int = 10_000
    asked: list[TrialSpec] = field(default_factory=list)

    def run(self, spec: TrialSpec) -> Outcome:
        if spec.kind == "build":
            return Outcome(measurement=self._made(spec))
        self.asked.append(spec)
        if len(self.asked) > self.most:
            raise KeyboardInterrupt
        return Outcome(measurement=self._made(spec), refused=spec.recipe.settings["lr"] == 1.0)

    def _made(self, spec: TrialSpec) -> Measurement:
        lr, width = spec.recipe.settings["lr"], spec.recipe.settings["width"]
        noise = random.Random(f"{spec.seed}/{spec.arm}").gauss(0, 0.004)
        right = 0.7 + 0.05 * (2 + math.log10(lr) + 1) * (lr <= 0.1) + 0.005 * min(width, 4) + noise
        test = right if not self.misled else 0.9 - right / 10
        values = {"accuracy": test, HELD_OUT: right}
        metrics = (Evaluation(epoch=5, step=50, train_seconds=1.0, values=values),)
        effect = "learning" if spec.resettled else "exact"
        facts = {
            **spec.identity.model_dump(mode="json"), "effect": effect, "metrics": metrics,
            "work": "other mathematics" if spec.resettled else "same work",
            "losses": tuple(lr / (1 + step) for step in range(20)),
            **({"status": Status.FAILED, "reason": "too fast"} if lr == 1.0 else {}),
        }  # fmt: skip
        arm, pair = facts.pop("arm"), facts.pop("pair")
        return measurement(arm, pair, seconds=1.0 + 0.1 * width, metric=test, **facts)


def asked(**facts: Any) -> Header:
    settings = TunedSettings()
    return header(
        mode="full-optimization", name="tunable", baseline="tunable", arms=(), first=4, repeats=30,
        settings=settings.model_dump(mode="json"), objectives=("quality",), chosen_by=HELD_OUT,
        ranges=searched(cast(Any, Tunable()), settings), **facts,
    )  # fmt: skip


def run(folder: Folder, trained: Trained) -> tuple[Session, Heard]:
    heard = Heard()
    recipe = Recipe(baseline="tunable", settings=folder.header.settings)
    session = Session(
        folder, cast(Runner, trained), cast(Any, Tunable()), recipe, {}, heard
    )  # fmt: skip
    full_optimization(session)
    return session, heard


def made(path: Path, head: Header) -> Folder:
    path.mkdir()
    (path / "run.json").write_text(head.model_dump_json())
    return Folder(path, head)


def exported(session: Session) -> Exported:
    comparison = compare_run(session.header, session.records, ())
    found = exported_of(
        session.header, session.records, comparison, best(comparison), session.recipe
    )
    assert found is not None
    return found


@pytest.fixture(scope="module")
def searched_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, Trained, Path]:
    path = tmp_path_factory.mktemp("search") / "run"
    trained = Trained()
    session, _ = run(made(path, asked(times_baseline={"time": 1.5})), trained)
    return session, trained, path


def test_the_best_settings_within_the_limit_are_found_and_confirmed(
    searched_run: tuple[Session, Trained, Path],
) -> None:
    session, trained, _ = searched_run
    result = best(compare_run(session.header, session.records, ()))
    assert result is not None
    assert (result.arm, result.gains, result.confirmed) == (TUNED, ("better metric",), True)
    found = exported(session)
    assert found.recipe.settings["lr"] == 0.1
    assert 2 <= found.recipe.settings["width"] <= 6, "7 and 8 take more than 1.5 times the baseline"
    confirming = {spec.seed for spec in trained.asked if spec.stage == "confirm"}
    trying = {spec.seed for spec in trained.asked if spec.stage == "tune"}
    assert confirming
    assert not confirming & trying


def test_the_claim_is_the_gain_and_is_held_to_it(
    searched_run: tuple[Session, Trained, Path],
) -> None:
    session, _, _ = searched_run
    claim = exported(session).claim
    assert claim.quality_gain is not None
    assert claim.quality_gain[0] > 0.08
    again = compare_run(session.header, session.records, ())
    assert judged(claim, again, session.records).answer is Proof.HOLDS
    boasted = claim.model_copy(update={"quality_gain": (0.2, 0.3, 0.4)})
    found = judged(boasted, again, session.records)
    assert found.answer is Proof.BROKEN
    assert "claimed accuracy better by at least 0.2, measured 0.1" in found.problems[0]


def test_the_report_says_what_was_searched(searched_run: tuple[Session, Trained, Path]) -> None:
    session, _, path = searched_run
    shown = reports.made(path, session.header, session.folder.trials.records, ())
    text = reports.render("md", shown)
    assert "A gain counts in quality alone; limits: the whole training at most 1.5× the" in text
    assert "of 2 settings in" in text
    assert "chosen by validation_accuracy, of items held out of training" in text
    assert "| lr | 0.001, 0.01, 0.1 and 1 | 0.001 |" in text
    assert "| width | 1 to 8 | 1 |" in text
    assert "baseline#tuned has a better accuracy (+0.1" in text
    for format in ("html", "json"):
        assert "validation_accuracy" in reports.render(format, shown)


def test_an_interrupted_search_goes_on_to_the_same_answer(
    searched_run: tuple[Session, Trained, Path], tmp_path: Path
) -> None:
    whole, trained, _ = searched_run
    for most in (14, len(trained.asked) - 3):
        folder = made(tmp_path / f"after-{most}", asked(times_baseline={"time": 1.5}))
        first = Trained(most=most)
        with pytest.raises(KeyboardInterrupt):
            run(folder, first)
        folder.close()
        left = undone.unfinished(reports.read(folder.path))
        assert left is not None
        assert ("settings are still searched" in left) == (most == 14)
        second = Trained()
        session, _ = run(reopen(folder.path), second)
        assert [trial.key for trial in session.records] == [trial.key for trial in whole.records]
        assert exported(session).recipe == exported(whole).recipe
        assert len(second.asked) == len(trained.asked) - most


def test_a_search_with_a_fixed_number_of_pairs_is_finished_once_all_are_made(
    tmp_path: Path,
) -> None:
    fixed = asked().model_copy(update={"first": None, "repeats": 3})
    trained = Trained()
    session, _ = run(made(tmp_path / "run", fixed), trained)
    session.folder.close()
    assert sum(trial.arm == TUNED for trial in session.records) == 3
    assert undone.unfinished(reports.read(tmp_path / "run")) is None
    folder = made(tmp_path / "interrupted", fixed)
    with pytest.raises(KeyboardInterrupt):
        run(folder, Trained(most=len(trained.asked) - 1))
    folder.close()
    assert "of 6 pairs of trials were run" in str(undone.unfinished(reports.read(folder.path)))


def test_the_test_part_chooses_nothing_and_may_refuse_what_was_chosen(tmp_path: Path) -> None:
    session, _ = run(made(tmp_path / "run", asked()), Trained(misled=True))
    (result,) = compare_run(session.header, session.records, ()).arms
    confirmed = [t for t in session.records if t.arm == TUNED]
    assert confirmed[0].recipe["settings"]["lr"] == 0.1
    assert result.verdict != "win"


def test_once_its_choice_is_being_confirmed_a_search_is_not_taken_further(tmp_path: Path) -> None:
    head = asked(budget_seconds=3600.0)
    folder = made(tmp_path / "run", head.model_copy(update={"raced": {"tune": 3, "confirm": 1}}))
    trained = Trained()
    _, heard = run(folder, trained)
    assert {spec.stage for spec in trained.asked} == {"confirm"}
    assert heard.notes == ["no settings are found that are better than the baseline's own"]
    folder.close()
    found = reports.read(tmp_path / "run")
    said = "Of 0 choices of settings none is found to be better than the baseline's own, by "
    assert reports.verdict(found).startswith(said)
    assert "every technique screened" not in reports.render("md", found)


def test_what_a_search_chose_is_one_arm_and_of_settings_that_it_searched(tmp_path: Path) -> None:
    head = asked().model_copy(update={"raced": {"tune": 3, "confirm": 1}})
    settings = head.settings
    (tmp_path / "run.json").write_text(head.model_dump_json())

    def refused(*changes: dict[str, Any]) -> str:
        found = [
            measurement(TUNED, pair, stage="confirm", recipe=Recipe(
                baseline="tunable", settings={**settings, **own}).model_dump(mode="json"))
            for pair, own in enumerate(changes)
        ]  # fmt: skip
        with pytest.raises(BenchError) as raised:
            check_planned(head, found, tmp_path / "trials.jsonl")
        return str(raised.value)

    assert "baseline#tuned of pair 0 has another epochs than run.json says" in refused(
        {"epochs": 9}
    )
    assert "line 2: baseline#tuned of pair 1 has the recipe of the baseline" in refused(
        {"lr": 0.1}, {}
    )


def test_a_baseline_that_holds_nothing_out_is_refused() -> None:
    baseline = cast(Any, Tunable())
    with pytest.raises(BenchError) as raised:
        searched_over(baseline, TunedSettings(), Target("accuracy"))
    assert str(raised.value).startswith(
        "baseline tunable names no metric of items held out of training, so settings would be "
        "chosen by the test items that judge them: name one, as in Target("
    )


def test_quality_is_asked_of_a_full_optimization_alone() -> None:
    from bench.cli.parse import raced

    assert raced("full-optimization", Request("test", "x").arms, ("quality",)) == ()
    with pytest.raises(BenchError, match="give it to --full-optimization, not to --test"):
        raced("test", (), ("quality",))


@pytest.mark.parametrize(("budget", "tries"), [(None, 30), (1200.0, 0)])
def test_a_search_is_planned_by_one_training_of_the_baseline(
    budget: float | None, tries: int, tmp_path: Path
) -> None:
    trained = Trained()
    folder = made(tmp_path / "run", asked(budget_seconds=budget))
    session = Session(
        folder, cast(Runner, trained), cast(Any, Tunable()),
        Recipe(baseline="tunable", settings=folder.header.settings), {}, Heard(), dry_run=True,
    )  # fmt: skip
    with pytest.raises(PlanOnly) as plan:
        full_optimization(session)
    found = plan.value.forecast
    assert isinstance(found, SearchForecast)
    assert [spec.arm for spec in trained.asked] == ["baseline"]
    assert (found.combinations, found.ranges) == (32, folder.header.ranges)
    assert found.tries == tries or found.blocks == int(600 / found.block_seconds)
