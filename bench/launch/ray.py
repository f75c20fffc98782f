"""Nodes of a Ray cluster: a task has a whole node, so that no other of Ray's disturbs it."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

from bench.errors import BenchError
from bench.launch.nodes import Ended
from bench.launch.task import Task, answered

EXTRA = 'the nodes of Ray need ray: pip install "trainpairs[ray]"'
ADDRESS = "RAY_ADDRESS"
KNOCK_SECONDS = 10.0
KNOWN_SECONDS = 1.0
"""How long the cluster is not asked again which nodes it has: many blocks are issued at once."""


class _Running(NamedTuple):
    """A task, and the node that it has."""

    name: str
    node_id: str
    node: str


class RayNodes:
    """Nodes that run one task each; those that join while a run goes on get some, too."""

    def __init__(self, most: int | None = None) -> None:
        """Join the cluster at RAY_ADDRESS, or the one that runs on this machine."""
        try:
            ray: Any = import_module("ray")  # an extra, typed or not
        except ImportError:
            raise BenchError(EXTRA) from None
        self._ray, self._most = ray, most
        address = os.environ.get(ADDRESS, "auto")
        try:
            _knock(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError):
            where = "here" if address == "auto" else f"at {address}"
            raise BenchError(
                f"no Ray cluster answers {where}: `ray start --head` starts one, {ADDRESS} says "
                "where another is"
            ) from None
        self._answered = ray.remote(answered)
        strategies: Any = import_module("ray.util.scheduling_strategies")
        self._on_node = strategies.NodeAffinitySchedulingStrategy
        self._running: dict[Any, _Running] = {}
        self._there: list[dict[str, Any]] = []
        self._known_until = -math.inf

    @property
    def size(self) -> int:
        """Return how many nodes are there."""
        there = len(self._nodes())
        return there if self._most is None else min(there, self._most)

    def keep_in(self, folder: Path) -> None:
        """Keep nothing: tasks end with this process."""

    def start(self, name: str, task: Task, avoid: frozenset[str]) -> bool:
        """Start a task on an idle node: one that it was lost on only where there is no other.

        A node that died is among those that are alive for some seconds.
        """
        busy = {one.node_id for one in self._running.values()}
        there = self._nodes()
        fit = [node for node in there if node["NodeName"] not in avoid] or there
        node = next((node for node in fit if node["NodeID"] not in busy), None)
        if node is None or (self._most is not None and len(busy) >= self._most):
            return False
        text = task.model_copy(update={"node": node["NodeName"]}).model_dump_json()
        reference = self._answered.options(**self._whole(node)).remote(text)
        self._running[reference] = _Running(name, node["NodeID"], node["NodeName"])
        return True

    def _nodes(self) -> list[dict[str, Any]]:
        """Return the nodes that are alive and compute, as they were a moment ago at most."""
        if monotonic() >= self._known_until:
            known = self._ray.nodes()
            self._there = [n for n in known if n["Alive"] and n["Resources"].get("CPU")]
            self._known_until = monotonic() + KNOWN_SECONDS
        return self._there

    def _whole(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return options that place a task on a node, with all that Ray has to give there."""
        return {
            "max_retries": 0,
            "num_cpus": node["Resources"]["CPU"],
            "num_gpus": node["Resources"].get("GPU", 0),
            "scheduling_strategy": self._on_node(node["NodeID"], soft=False),
        }

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Wait so long for tasks to end; return those that did."""
        if not self._running:
            sleep(seconds)
            return []
        running = [*self._running]
        self._ray.wait(running, num_returns=1, timeout=seconds)
        ready, _ = self._ray.wait(running, num_returns=len(running), timeout=0)
        return [self._of(reference) for reference in ready]

    def _of(self, reference: Any) -> Ended:
        task = self._running.pop(reference)
        try:
            return Ended(task.name, self._ray.get(reference))
        except self._ray.exceptions.RayError as error:
            gone = isinstance(error, self._ray.exceptions.TaskUnschedulableError)
            return Ended(task.name, None, _how(error), task.node, began=not gone)

    def close(self) -> None:
        """End what runs, and leave the cluster."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()


def _knock(address: str) -> None:
    """Raise `OSError` where nothing listens: Ray itself would end this process, minutes later."""
    host, _, port = address.rpartition(":")
    if host:
        socket.create_connection((host, int(port)), KNOCK_SECONDS).close()


def _how(error: Exception) -> str:
    """Return what Ray says of a loss, in one line."""
    said = [line for line in str(error).splitlines() if line.strip()]
    first, _, _ = (said[-1].strip() if said else "it says nothing").partition(". ")
    return f"{type(error).__name__}: {first}"[:200]
