"""Count what steps cost by the shapes of their batches: once these decide, one step of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from bench.batches import Batch

EQUAL_BATCHES = 3
"""So many equal counts of batches of one shape, and shapes are taken to decide."""
MOST_BATCHES = 16
"""Counted where they don't (what a batch holds: random crops, lengths)."""
LOOKED_AT = 32
"""Batches of an epoch whose shapes are looked at: they may be sorted by length."""
Shapes = tuple[tuple[int, ...], ...]


def shapes_of(batch: Batch) -> Shapes:
    """Return the shapes of a batch's tensors; of a packed or sparse one how much it stores."""
    leaves = torch.utils._pytree.tree_leaves(batch, lambda leaf: isinstance(leaf, PackedSequence))
    return tuple(_shape(leaf) for leaf in leaves if isinstance(leaf, Tensor | PackedSequence))


def _shape(leaf: Tensor | PackedSequence) -> tuple[int, ...]:
    if isinstance(leaf, PackedSequence):
        return tuple(leaf.batch_sizes.tolist())
    if leaf.is_nested:
        return (leaf.numel(),)
    return (*leaf.shape, *(() if leaf.layout is torch.strided else (leaf._nnz(),)))


class CountsByShape:
    """Counts of steps, made until those of one shape are seen to be equal, or there are enough."""

    def __init__(self, count: Callable[[Batch], int], most: int) -> None:
        self._count, self._most, self._made = count, most, 0
        self._known: defaultdict[Shapes, list[int]] = defaultdict(list)

    @property
    def full(self) -> bool:
        """Return whether as many were made as are to be."""
        return self._made >= self._most

    @property
    def settled(self) -> bool:
        """Return whether batches of one shape are known to cost the same."""
        found = self._known.values()
        same = all(len(set(counts)) == 1 for counts in found)
        return same and any(len(counts) >= EQUAL_BATCHES for counts in found)

    def of(self, batches: Iterable[Batch]) -> Iterator[int]:
        """Yield the count of each batch, until one would have to be counted beyond the most."""
        for batch in batches:
            counts = self._known[shapes_of(batch)]
            if not (counts and self.settled):
                if self.full:
                    return
                counts.append(self._count(batch))
                self._made += 1
            yield counts[-1]
