"""The machine that a trial ran on, where a scheduler chose it: both trials of a pair have one."""

from __future__ import annotations

from bench.records.schema import Count, Record, Text


class Node(Record):
    """What tells a node from another, and what its times depend on."""

    name: Text
    """What its scheduler calls it."""
    host: Text
    cpu: Text | None
    cores: Count
    memory_bytes: Count
    gpus: tuple[Text, ...] = ()
    python: Text
    torch: Text | None


class Placed(Record):
    """Where a trial ran."""

    node: Node | None = None
    """None: on the run's own machine, which ``run.json`` describes."""
