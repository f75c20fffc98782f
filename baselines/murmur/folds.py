"""Deal patients into folds: all of a person in one, and the labels spread evenly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def deal(people: Sequence[str], labels: Sequence[tuple[int, ...]], folds: int) -> Rows:
    """Return the fold of each patient ``(N,)``: the same for the same person, always the same.

    People are dealt round and round, those with equal labels one after the other; of a person who
    is there several times, the smallest labels count.
    """
    own: dict[str, tuple[int, ...]] = {}
    for person, label in zip(people, labels, strict=True):
        own[person] = min(label, own.get(person, label))
    names = sorted(own)
    shuffled = [names[row] for row in np.random.default_rng(0).permutation(len(names))]
    dealt = {person: n % folds for n, person in enumerate(sorted(shuffled, key=own.__getitem__))}
    return np.array([dealt[person] for person in people], np.int64)


def parts(folds: Rows, count: int, test: int) -> dict[str, Rows]:
    """Return the patients' rows of each part: a fold tests, the next validates, the rest train."""
    held_out = (test + 1) % count
    return {
        "train": np.flatnonzero((folds != test) & (folds != held_out)),
        "validation": np.flatnonzero(folds == held_out),
        "test": np.flatnonzero(folds == test),
    }
