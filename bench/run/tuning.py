"""Try settings in blocks beside the baseline: a search's trials, which judge no arm.

What is tried follows from the seed and from what the tries before it gave, block by block. A block
that the budget cut short tells the search nothing; once what it chose is being confirmed, a search
is never taken further: a run that goes on chooses the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analysis.tries import Tried, Yardstick, found_in, leads, pairs_tried, shown_better
from bench.errors import BenchError
from bench.records.measurement import BASELINE, Purpose
from bench.records.ranges import TRY
from bench.records.recipe import Recipe
from bench.run import plan
from bench.run.open_arms import pays
from bench.run.plan import Block, Contrast, Kind, Planned
from bench.run.sampler import Sampler, Settings
from bench.run.session import Session

STAGE: Purpose = "tune"
SEEDS_FROM = 10_000
"""After a run's first seed: those of tries lie far from all that judge what they find."""
FINALISTS, FINALS = 3, 2
"""So many of the best settings are tried again, so many times: what is best of many was lucky."""


@dataclass(frozen=True)
class Search:
    """What is tried, and how tries are compared."""

    session: Session
    sampler: Sampler
    recipe_of: Callable[[Settings], Recipe]
    """Raises `BenchError` for settings that are refused."""
    by: Yardstick
    kind: Kind
    blocks: int
    """At most; a budget may pay for fewer."""
    shares: tuple[float, float]
    """Of a budget, when no more is tried, and when the best are no longer tried again."""
    deploys: bool = False
    """Whether another model is deployed than the one that is trained."""

    def run(self) -> None:
        """Try settings until the blocks, or the budget, are spent."""
        first = self.session.numbered
        self.session.numbered += self.blocks * plan.BLOCK
        self.session.folder.race(STAGE, plan.BLOCK, plan.BLOCK)
        for number in range(self.blocks):
            asked = dict(self.sampler.ask() for _ in range(plan.BLOCK))
            tries = self._tries(asked)
            pair = first + number * plan.BLOCK
            if not self._measured(list(tries.values()), number, pair, self.shares[0]):
                return
            self._tell(asked, tries, pair)

    def finals(self, best: Sequence[Recipe]) -> None:
        """Try the best once more, all of them beside one trial of the baseline, on other seeds."""
        first = self.session.numbered
        self.session.numbered += FINALS * FINALISTS
        tries = [self._contrast(f"{TRY}final-{place}", recipe) for place, recipe in enumerate(best)]
        for number in range(FINALS):
            pair = first + number * FINALISTS
            if not self._measured(tries, self.blocks + number, pair, self.shares[1]):
                return

    def is_better(self, before: Recipe, after: Recipe, rounds: int, share: float) -> bool:
        """Tell whether settings are shown to be better than others beside them, on other seeds."""
        first = self.session.numbered
        self.session.numbered += 2 * rounds
        arms = f"{TRY}before", f"{TRY}after"
        both = [self._contrast(*one) for one in zip(arms, (before, after), strict=True)]
        for number in range(rounds):
            pair = first + 2 * number
            if not self._measured(both, self.blocks + FINALS + number, pair, share):
                return False
            known = [trial for trial in self.session.records if trial.pair <= pair]
            shown = shown_better(leads(known, self.by, *arms))
            if shown is not None:
                return shown
        return False

    def found(self) -> list[Tried]:
        """Return all that was tried up to now, the best first."""
        return found_in(self.session.header, self.session.so_far)

    def _tries(self, asked: dict[int, Settings]) -> dict[int, Contrast]:
        """Return what is measured of what was asked for: each recipe once, none that is refused."""
        found: dict[str, tuple[int, Contrast]] = {}
        for number, settings in asked.items():
            try:
                recipe = self.recipe_of(settings)
            except BenchError:
                continue
            found.setdefault(recipe.id, (number, self._contrast(f"{TRY}{number}", recipe)))
        return dict(found.values())

    def _contrast(self, arm: str, recipe: Recipe) -> Contrast:
        return Contrast(arm, recipe, self.session.recipe, self.kind, self.deploys)

    def _measured(self, tries: Sequence[Contrast], seed: int, pair: int, share: float) -> bool:
        """Run one block; tell whether all of it is there."""
        own = self.session.header.seed + SEEDS_FROM + seed
        blocks = next(plan.rounds(tries, 1, own, pair, STAGE)) if tries else []
        return all(self._block(block, share) for block in blocks)

    def _block(self, block: Block, share: float) -> bool:
        session = self.session
        known = session.folder.trials.get
        missing = [planned for planned in block if known((planned.pair, planned.arm)) is None]
        chosen = "confirm" in session.header.raced
        if missing and (chosen or not pays(session.records, missing, self._left(share))):
            return False
        session.show.expect(len(block))
        session.issue([block])
        for planned in block:
            left = self._left(share)
            if planned in missing and left is not None and left <= 0:
                return False
            self._trial(planned)
        return True

    def _trial(self, planned: Planned) -> None:
        """Run a trial; settings that the training refuses are a try that gave nothing."""
        try:
            self.session.trial(planned)
        except BenchError:
            kept = self.session.folder.trials.get((planned.pair, planned.arm))
            if planned.arm == BASELINE or kept is None:
                raise

    def _left(self, share: float) -> float | None:
        budget = self.session.header.budget_seconds
        return None if budget is None else share * budget - self.session.spent

    def _tell(self, asked: dict[int, Settings], tries: dict[int, Contrast], pair: int) -> None:
        """Tell the sampler what a block gave."""
        own = [p for p in pairs_tried(self.session.records) if p[0].pair == pair]
        by_arm = {candidate.arm: (baseline, candidate) for baseline, candidate in own}
        for number in asked:
            found = by_arm.get(tries[number].arm) if number in tries else None
            gain = None if found is None else self.by.gain(found)
            excess = self.by.excess(found) if found is not None and gain is not None else 0.0
            self.sampler.tell(number, gain, excess)
