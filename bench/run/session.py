"""Run the trials of one run through its journal: what the journal holds is not run again.

Everything that a run does goes through `Session.trial` and `Session.probe`, which look a trial up
in the journal before running it. So resuming a run is doing it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from bench.analysis.levels import looks_of, rule_of
from bench.baseline import Baseline
from bench.errors import BenchError
from bench.launch.local import Runner
from bench.launch.nodes import Nodes
from bench.recipes.source import Sources, places_in
from bench.records import failures
from bench.records.header import Header
from bench.records.measurement import (
    BASELINE,
    CONTROL,
    JUDGING,
    Ending,
    Measurement,
    Purpose,
    Status,
)
from bench.records.recipe import Recipe
from bench.records.run_folder import Folder
from bench.records.schema import Record
from bench.run import plan
from bench.run.counted import with_counts
from bench.run.disturbance import undisturbed
from bench.run.forecast import PlanOnly, foresee
from bench.run.identity import check_data, check_same
from bench.run.kinds import only_kind
from bench.run.margin import fix_margin
from bench.run.observer import Observer
from bench.run.open_arms import has_won, left_of, next_round, pays
from bench.run.plan import Contrast, Planned
from bench.run.prospects import prospects, ranked
from bench.run.resumed import is_closed, shown_again
from bench.run.reuse import Earlier
from bench.run.specs import asked_of, spec_of
from bench.run.spread import spread_over
from bench.run.told import Told
from bench.trial.spec import Outcome


@dataclass
class Session:
    """A run in progress."""

    folder: Folder
    runner: Runner | Nodes
    baseline: Baseline
    recipe: Recipe  # the baseline's, with no technique
    code: Sources  # the user's files that are run
    show: Observer
    head: Sources = field(default_factory=dict)  # of the other revision, where two are compared
    dry_run: bool = False  # whether it only plans
    begun: float = field(default_factory=time.monotonic)
    data_sha256: str | None = None  # of the baseline's data, once it was rehearsed
    probes: dict[str, int] = field(default_factory=dict)  # that each technique has made so far
    rehearsed: list[Measurement] = field(default_factory=list)  # of recipes, before any trial
    numbered: int = 0  # pairs whose numbers the stages so far have taken, made or not

    def __post_init__(self) -> None:
        """Spread what is measured, where nodes measure it; follow what trials tell."""
        self.spread = spread_over(self.runner, self.folder)
        self.told = Told(self.records, self.rehearsed)
        self.taken_up = next((t.pair for t in reversed(self.records) if t.pair >= 0), -1)

    def issue(self, blocks: Sequence[plan.Block]) -> None:
        """Let nodes run blocks, if nodes do, before they are measured one by one."""
        if self.spread:
            arms = {planned.arm for block in blocks for planned in block}
            self.spread.issue(self, [blocks], arms, certain=1)

    @property
    def header(self) -> Header:
        """Return what the run was asked to do."""
        return self.folder.header

    @property
    def places(self) -> dict[str, str]:
        """Return where the user's files lie, by name."""
        return places_in(self.code)

    @property
    def records(self) -> list[Measurement]:
        """Return the trials finished so far that count."""
        return self.folder.trials.counting

    @property
    def so_far(self) -> list[Measurement]:
        """Return those of the stages begun so far: a run that goes on has later ones, too."""
        return [record for record in self.records if record.pair < self.numbered]

    @property
    def probed(self) -> list[Measurement]:
        """Return all probes finished so far."""
        return self.folder.probes.records

    def rehearse(self, arm: str, recipe: Recipe) -> Measurement:
        """Make a recipe's first steps, so that what can't work is known before any is measured.

        Raises `BenchError` for what the user must fix; returns a measurement that says
        `not_applicable` or `failed` otherwise.
        """
        self.show.begin(f"checking {arm}")
        planned = Planned(arm, 0, self.header.seed, recipe, "step")
        outcome = self.runner.run(spec_of(self, planned, kind="build"))
        if outcome.refused:
            raise BenchError(outcome.measurement.reason or "the trial was refused")
        self.rehearsed.append(outcome.measurement)
        for known in self.records:
            if known.arm == arm:
                check_data(known, outcome.measurement)
        if arm == BASELINE and outcome.measurement.data:
            self.data_sha256 = outcome.measurement.data.sha256
        return outcome.measurement

    @cached_property
    def earlier(self) -> Earlier:
        """Return what earlier runs made, where trials are taken from them."""
        return Earlier.beside(self.folder.path, self.header) if self.header.reuse else Earlier(())

    def measure(self, contrasts: Sequence[Contrast], stage: Purpose = "test") -> None:
        """Run interleaved blocks of every open contrast and of the A/A control, within the budget.

        Which are open, the rounds before tell; not what pairs are: their number, seed and order.
        """
        if self.spent_before:
            self.show.note("the budget is spent before a pair is measured: give it more")
            return
        rule = rule_of(self.header, stage)
        look, _ = looks_of(self.header, rule, stage)
        todo = plan.with_control(self.of_one_kind(contrasts), self.recipe)
        arms = [contrast.arm for contrast in todo]
        expected = prospects(self.header, stage, todo, self.rehearsed, self.probed)
        seed = self.header.seed + (self.header.repeats if stage == "confirm" else 0)  # not seen yet
        planned = [*self._rounds(todo, rule.most, seed, stage, ranked(arms, expected))]
        if self.dry_run:
            raise PlanOnly(foresee(self, planned[0], rule))
        if self.header.is_over(stage):
            shown_again(self, [block for blocks in planned for block in blocks])
            return
        self.show.expect(plan.trials_in(planned[0]) * look)
        for number, blocks in enumerate(planned):
            if number == rule.first:
                fix_margin(self.folder, self.show)
            head, begin = self.header, min(block[0].pair for block in blocks)
            records = [known for known in self.so_far if known.pair < begin]  # as it was then
            over = f"the budget is spent after {number} round{'s' * (number != 1)}; still open"
            won = head.budget_seconds is None or has_won(head, records, arms, stage)
            choice = next_round(head, records, arms, number, rule, stage, self.spent, won, expected)
            if number == 0 and choice.measured:
                self._say("the budget pays for no first look at the least promising", choice.left)
            kept = [plan.only(block, choice.measured) for block in blocks]
            if number >= look:
                self.show.expect(plan.trials_in(kept))
            if self.spread:
                self.spread.issue(self, planned[number:], choice.measured, rule.first - number)
            if not (choice.measured and self._measure(kept, stage, won)):
                self._say(over, choice.measured + choice.left)
                return
        fix_margin(self.folder, self.show)

    def side(self, contrasts: Sequence[Contrast], seed: int, stage: Purpose) -> bool:
        """Run a round that judges no arm, of all contrasts; tell whether the budget pays for it."""
        (blocks,) = self._rounds(contrasts, 1, seed, stage)
        if self.header.is_over(stage):
            return shown_again(self, blocks)
        missing = [one for block in blocks for one in block if not self.holds(one)]
        if not pays(self.records, missing, left_of(self.header, self.records, stage, self.spent)):
            return False
        self.show.expect(plan.trials_in(blocks))
        self.issue(blocks)
        self._measure(blocks, stage)
        return True

    def _rounds(
        self, contrasts: Sequence[Contrast], count: int, seed: int, stage: Purpose,
        order: Sequence[str] = (),
    ) -> Iterator[list[plan.Block]]:  # fmt: skip
        """Fix what a stage may not change any more, and return its rounds."""
        contrasts = self.of_one_kind(contrasts)
        arms = sum(contrast.arm != CONTROL for contrast in contrasts)
        self.folder.race(stage, arms, plan.BLOCKS.get(stage, plan.BLOCK), order)
        place = {arm: number for number, arm in enumerate(self.header.order.get(stage, ()))}
        contrasts = sorted(contrasts, key=lambda one: place.get(one.arm, len(place)))
        first_pair = self.numbered
        self.numbered += len(contrasts) * count
        block = self.header.blocks.get(stage, 1)
        return plan.rounds(contrasts, count, seed, first_pair, stage, block, bool(place))

    def of_one_kind(self, contrasts: Sequence[Contrast]) -> Sequence[Contrast]:
        """Return contrasts as trials of the one kind that tells what is asked, where one does."""
        kind = only_kind(self.header, self.baseline, self.recipe, self.rehearsed)
        return [replace(one, kind=kind) for one in contrasts] if kind else contrasts

    @property
    def spent(self) -> float:
        """Return the seconds since the run was begun, or taken up again."""
        return time.monotonic() - self.begun

    @property
    def spent_before(self) -> bool:
        """Tell whether the budget is spent before it is settled which arms are measured."""
        budget = None if self.dry_run or self.header.raced else self.header.budget_seconds
        return budget is not None and self.spent >= budget

    def _measure(self, blocks: Sequence[plan.Block], stage: Purpose, won: bool = True) -> bool:
        """Run trials; tell whether the budget paid for all: it is overrun by one at most."""
        for block in blocks:
            fresh = stage in JUDGING and not any(map(self._known, block))
            if fresh and (taken := self.earlier.take(block, self.data_sha256)):
                self.folder.trials.append(*taken)  # at once: nothing is added to a part of it
            for planned in filter(self.holds, block) if is_closed(self, block) else block:
                left = left_of(self.header, self.records, stage, self.spent, won)
                if left is not None and left <= 0 and self._known(planned) is None:
                    return False
                if self.spread is None or self.spread.holds(planned):
                    self.trial(planned)
        return True

    def _known(self, planned: Planned) -> Measurement | None:
        return self.folder.trials.get((planned.pair, planned.arm))

    def holds(self, planned: Planned) -> bool:
        """Tell whether the journal has a trial that need not be run again."""
        return (known := self._known(planned)) is not None and not known.set_aside

    def _say(self, what: str, arms: Sequence[str]) -> None:
        if arms:
            names = ", ".join([arm for arm in arms if arm != CONTROL] or arms)
            self.show.note(f"{what}: {names}")

    def trial(self, planned: Planned) -> Measurement:
        """Return the record of a trial, running it if the journal doesn't hold it."""
        if (known := self._known(planned)) is not None:
            check_same(known, planned.recipe)
            if not known.set_aside:
                self.show.done(known)
                return known
        attempt = known.attempt + 1 if known else 0
        outcome = undisturbed(
            lambda: self.once(planned), attempt, self.told.usual, self.folder, self.show
        )
        record = outcome.measurement
        failures.keep(self.folder.path, record, self.folder.scratch)
        self.folder.trials.append(record, sync=self.spread is None)  # of nodes, it is on disk
        self.show.done(record)
        if outcome.refused:
            raise BenchError(f"{planned.arm}: {record.reason}")
        return record

    def once(self, planned: Planned) -> Outcome:
        """Run a trial; what an earlier one of its recipe counted holds for it too."""
        self.show.begin(planned.arm)
        if self.spread:
            outcome = self.spread.take(planned)
        else:
            outcome = self.runner.run(asked_of(self, planned))
        told = self.told.counted, self.told.rehearsed
        record = with_counts(outcome.measurement, *told, self.recipe)
        for left in record.left_processes:
            self.show.note(f"{planned.arm} left a process running, which was ended: {left}")
        return outcome.model_copy(update={"measurement": record})

    def refuse(
        self, arm: str, recipe: Recipe, reason: str, status: Status = Status.NOT_APPLICABLE,
        known: Record | None = None,
    ) -> None:  # fmt: skip
        """Record that an arm is not tried, where no trial could say it; `known`: what is of it."""
        if self.refused(arm):
            return
        planned = Planned(arm, -1, self.header.seed, recipe, "full")
        ending = Ending(status=status, reason=reason, started=self.header.started)
        identity = spec_of(self, planned).identity
        record = Measurement.of(identity, *([known] if known else []), ending)
        self.folder.trials.append(record)
        self.show.done(record)

    def refused(self, arm: str) -> Measurement | None:
        """Return the record that an arm is not tried, if there is one."""
        return self.folder.trials.get((-1, arm))

    def probe(self, planned: Planned, **changes: Any) -> Measurement:
        """Return a trial that judges no arm, running it if the journal doesn't hold it."""
        if (known := self.folder.probes.get((planned.pair, planned.arm))) is not None:
            return known
        record = self.runner.run(spec_of(self, planned, **changes)).measurement
        self.folder.probes.append(record)
        return record
