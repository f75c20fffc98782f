"""Plan the trials of a run: interleaved blocks in random order, from the seed alone."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from bench.records.measurement import BASELINE, CONTROL, Purpose
from bench.records.recipe import Recipe

Kind = Literal["step", "full"]
BLOCK = 3
"""Arms that share a trial of the baseline: more would lie too far from it in time."""
BLOCKS: Mapping[Purpose, int] = MappingProxyType({"combine": 5})
"""Where arms are held against one of them: in a block of so many they lie nearer to each other than
two ratios to two trials of the baseline are sure."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A candidate and the baseline that it is paired with."""

    arm: str
    recipe: Recipe
    baseline: Recipe
    kind: Kind
    deploys: bool = False
    """Whether another model is deployed than the one that is trained."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One trial of the plan."""

    arm: str
    pair: int
    seed: int
    recipe: Recipe
    kind: Kind
    stage: Purpose = "test"
    deploys: tuple[str, ...] = ()
    """Itself, or of a baseline the arms of its block, where they deploy another model."""

    def resettled(self, baseline: Recipe) -> bool:
        """Tell whether it is the baseline in other settings, which no technique asked for."""
        return not self.recipe.techniques and self.recipe.settings != baseline.settings


Block = list[Planned]
"""A trial of the baseline among those of the arms that are paired with it, back to back."""


def with_control(contrasts: Sequence[Contrast], recipe: Recipe) -> list[Contrast]:
    """Return contrasts with the A/A control of a baseline, of whole trainings unless all step."""
    if any(one.arm == CONTROL for one in contrasts):
        return [*contrasts]
    full = not contrasts or any(one.kind == "full" for one in contrasts)
    return [*contrasts, Contrast(CONTROL, recipe, recipe, "full" if full else "step")]


def rounds(
    contrasts: Sequence[Contrast],
    repeats: int,
    seed: int,
    first_pair: int = 0,
    stage: Purpose = "test",
    block: int = BLOCK,
    ordered: bool = False,
) -> Iterator[list[Block]]:
    """Yield one round after another: every contrast once, in blocks that share a baseline's trial.

    Contrasts are in random order within a round, or, where they are `ordered`, in blocks of those
    that follow each other; the baseline has a random place within its block. The trials of a block
    share one pair number; a round's share one training seed, and every round has another.
    """
    for number in range(repeats):
        order = random.Random(f"{seed}/{first_pair}/{number}")
        begin = first_pair + number * len(contrasts)
        yield [
            _block([contrasts[i] for i in indices], begin + min(indices), seed + number, stage,
                   order)
            for indices in _shared(contrasts, order, block, ordered)
        ]  # fmt: skip


def trials_in(blocks: Sequence[Block]) -> int:
    """Return how many trials blocks hold, the baseline's included."""
    return sum(map(len, blocks))


def only(block: Block, arms: Collection[str]) -> Block:
    """Return the trials of a block for some arms, with the baseline's; none where it has no arm."""
    kept = [planned for planned in block if planned.arm == BASELINE or planned.arm in arms]
    return kept if len(kept) > 1 else []


def _shared(
    contrasts: Sequence[Contrast], order: random.Random, most: int, ordered: bool
) -> list[list[int]]:
    """Return contrasts in random order, together where one trial of the baseline serves them."""
    indices = list(range(len(contrasts)))
    if not ordered:
        order.shuffle(indices)
    blocks: list[list[int]] = []
    open_: dict[tuple[str, str], list[int]] = {}
    for index in indices:
        serves = (contrasts[index].kind, contrasts[index].baseline.id)
        if len(open_.get(serves, ())) in (0, most):
            open_[serves] = []
            blocks.append(open_[serves])
        open_[serves].append(index)
    if ordered:
        order.shuffle(blocks)
        for one in blocks:
            order.shuffle(one)
    return blocks


def _block(
    contrasts: Sequence[Contrast], number: int, seed: int, stage: Purpose, order: random.Random
) -> Block:
    one = contrasts[0]
    made = [
        Planned(c.arm, number, seed, c.recipe, c.kind, stage, (c.arm,) if c.deploys else ())
        for c in contrasts
    ]
    deploying = tuple(c.arm for c in contrasts if c.deploys)
    baseline = Planned(BASELINE, number, seed, one.baseline, one.kind, stage, deploying)
    made.insert(int(order.random() * (len(made) + 1)), baseline)
    return made
