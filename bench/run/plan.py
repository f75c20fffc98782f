"""Plan the trials of a run: interleaved pairs in random order, from the seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.records.measurement import BASELINE, Purpose
from bench.records.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Contrast:
    """A candidate and the baseline that it is paired with."""

    arm: str
    recipe: Recipe
    baseline: Recipe
    kind: Literal["step", "full"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One trial of the plan."""

    arm: str
    pair: int
    seed: int
    recipe: Recipe
    kind: Literal["step", "full"]
    stage: Purpose = "test"


def rounds(
    contrasts: Sequence[Contrast],
    repeats: int,
    seed: int,
    first_pair: int = 0,
    stage: Purpose = "test",
) -> Iterator[list[tuple[Planned, Planned]]]:
    """Yield one round after another: every contrast once, as a pair of trials back to back.

    Contrasts are in random order within a round, and so are the two trials of a pair; a round's
    pairs share one training seed, and every round has another.
    """
    for number in range(repeats):
        order = random.Random(f"{seed}/{first_pair}/{number}")
        indices = list(range(len(contrasts)))
        order.shuffle(indices)
        pairs = []
        for index in indices:
            pair_number = first_pair + number * len(contrasts) + index
            pair = _pair(contrasts[index], pair_number, seed + number, stage)
            pairs.append(pair if order.random() < 0.5 else (pair[1], pair[0]))
        yield pairs


def candidate(pair: tuple[Planned, Planned]) -> str:
    """Return the arm that a pair measures against the baseline."""
    one, other = pair
    return other.arm if one.arm == BASELINE else one.arm


def _pair(contrast: Contrast, number: int, seed: int, stage: Purpose) -> tuple[Planned, Planned]:
    return (
        Planned(BASELINE, number, seed, contrast.baseline, contrast.kind, stage),
        Planned(contrast.arm, number, seed, contrast.recipe, contrast.kind, stage),
    )
