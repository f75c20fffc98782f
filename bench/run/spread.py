"""Spread a run's blocks over nodes, and take them in the order in which they were issued.

A node that is quick must not be heard more often than one that is slow, nor a pair that was quick
before one that took long: a rule that looks at what happens to be back is biased. So blocks may run
before their turn, but none is looked at before it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.launch.nodes import Nodes
from bench.launch.task import Answer
from bench.records.arrived import ARRIVED, Arrived, Trials
from bench.records.run_folder import Folder
from bench.run.identity import check_same
from bench.run.plan import Block, Planned, only
from bench.run.specs import asked_of
from bench.trial.spec import Outcome, TrialSpec

if TYPE_CHECKING:
    from bench.run.session import Session


class Spread:
    """The blocks that nodes measure: which are under way, and which have come back."""

    def __init__(self, nodes: Nodes, folder: Folder) -> None:
        self._nodes, self._folder = nodes, folder
        self._arrived = Arrived(folder.path / ARRIVED)
        self._answers: dict[int, Answer] = {}
        self._ahead: set[int] = set()
        """Blocks that were issued, and had no turn yet."""
        self._counting: set[str] = set()
        """Recipes of which a block under way counts the FLOPs."""
        nodes.came = self._came
        nodes.scheduler.keep_in(folder.path)

    def issue(self, session: Session, rounds: Sequence[Sequence[Block]], arms: Collection[str],
              certain: int) -> None:  # fmt: skip
        """Let the blocks of some arms run: those of `certain` rounds, and others while nodes idle.

        The first of the rounds is always certain: it is the one to be measured now.
        Beyond what is certain to be looked at there is never more ahead than one block a node: so
        much may turn out to have been measured in vain.
        """
        self._nodes.note = session.show.note
        for number, blocks in enumerate(rounds):
            for block in (only(block, arms) for block in blocks):
                if not block or self._is_there(session, block):
                    continue
                if number >= max(1, certain) and len(self._ahead) >= self._nodes.size:
                    return
                self._ahead.add(block[0].pair)
                trials = [self._asked(session, planned) for planned in block]
                self._nodes.issue(_called(block[0].pair), trials)

    def _is_there(self, session: Session, block: Block) -> bool:
        pair = block[0].pair
        known = session.folder.trials.get
        return (
            pair in self._ahead
            or self._arrived.get(pair) is not None
            or all(known((pair, planned.arm)) for planned in block)
        )

    def _asked(self, session: Session, planned: Planned) -> TrialSpec:
        """Return what a trial is asked; of many under way one counts a recipe's FLOPs."""
        asked = asked_of(session, planned)
        if planned.recipe.id in self._counting:
            return asked.model_copy(update={"count_flops": False, "cross_check": False})
        if asked.count_flops:
            self._counting.add(planned.recipe.id)
        return asked

    def holds(self, planned: Planned) -> bool:
        """Wait for a trial's block; tell whether it has the trial: its arm had seemed decided."""
        return planned.arm in self._block(planned.pair)

    def take(self, planned: Planned) -> Outcome:
        """Return the outcome of a trial whose turn it is, once its block is back."""
        found = self._block(planned.pair)[planned.arm]
        check_same(found, planned.recipe)
        if (found.seed, found.kind, found.stage) != (planned.seed, planned.kind, planned.stage):
            raise BenchError(
                f"{self._arrived.path} holds another trial of {planned.arm} in pair {planned.pair} "
                "than the run plans: take out what was added to the file"
            )
        return self._with_log(planned, Outcome(measurement=found))

    def _block(self, pair: int) -> Trials:
        """Return the trials of a block that was issued, once it is back."""
        if (known := self._arrived.get(pair)) is None:
            self._nodes.wait(_called(pair))
            known = self._arrived.get(pair)
        assert known is not None
        self._ahead.discard(pair)
        return known

    def _with_log(self, planned: Planned, found: Outcome) -> Outcome:
        """Return the whole outcome, its log in its place, where this process has had the answer."""
        answer = self._answers.get(planned.pair, Answer())
        answer.leave_log(planned.arm, self._folder.scratch)
        own = [o for o in answer.outcomes if o.measurement.arm == planned.arm]
        return own[0] if own else found

    def _came(self, answers: Sequence[Answer]) -> None:
        blocks = [[outcome.measurement for outcome in answer.outcomes] for answer in answers]
        self._arrived.append(blocks)
        for block, answer in zip(blocks, answers, strict=True):
            self._answers[block[0].pair] = answer


def _called(pair: int) -> str:
    return f"pair-{pair}"


def spread_over(runner: object, folder: Folder) -> Spread | None:
    """Return how blocks are spread; None where the run's own machine measures them."""
    return Spread(runner, folder) if isinstance(runner, Nodes) else None
