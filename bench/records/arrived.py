"""Blocks that nodes have measured, whatever their turn: a line each, whole or not at all.

A run takes its trials from here in the order in which blocks were issued, so that ``trials.jsonl``
is at any time a beginning of the plan, however soon or late a node was. What came back and had to
wait when a run was killed is here when it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from bench.records.measurement import Measurement
from bench.records.run_folder import append_lines, drop_torn_line, whole_lines
from bench.records.schema import Record, read_line

ARRIVED = "arrived.jsonl"
Trials = Mapping[str, Measurement]
"""Of one block, by arm."""


class Line(Record):
    """The trials of one block, in the order in which they ran."""

    format: Literal[1] = 1
    trials: tuple[Measurement, ...]


class Arrived:
    """An append-only file of blocks; a torn last line is dropped when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warning = drop_torn_line(path, "its pair")
        self._blocks: dict[int, Trials] = {}
        for number, line in enumerate(whole_lines(path), 1):
            self._know(read_line(Line, line, f"{path}, line {number}").trials)

    def get(self, pair: int) -> Trials | None:
        """Return the trials of a block, by the number that they share."""
        return self._blocks.get(pair)

    def append(self, blocks: Sequence[Sequence[Measurement]]) -> None:
        """Write blocks and wait, once, until the disk has them all."""
        append_lines(self.path, [Line(trials=tuple(trials)) for trials in blocks])
        for trials in blocks:
            self._know(trials)

    def _know(self, trials: Sequence[Measurement]) -> None:
        if trials:
            self._blocks[trials[0].pair] = {trial.arm: trial for trial in trials}
