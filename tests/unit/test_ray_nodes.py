"""What nodes of Ray are asked, by a module that stands in for it."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from bench.launch import ray
from bench.launch.task import Task


def test_a_cluster_is_asked_once_for_its_nodes_where_many_blocks_are_issued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def nodes() -> list[dict[str, Any]]:
        asked.append(1)
        return [{"NodeID": n, "NodeName": n, "Alive": True, "Resources": {"CPU": 1}} for n in "ab"]

    def placed(**options: Any) -> Any:
        return SimpleNamespace(remote=lambda text: object())

    strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: node)
    made = SimpleNamespace(options=placed)
    module = SimpleNamespace(init=lambda **options: None, nodes=nodes, remote=lambda task: made)
    for name, one in (("ray", module), ("ray.util.scheduling_strategies", strategies)):
        monkeypatch.setitem(sys.modules, name, one)
    monkeypatch.setattr(ray, "_knock", lambda address: None)
    here = ray.RayNodes()
    task = Task(trials=(), preload=(), timeout_seconds=1.0, folder="", code_sha256="", versions={})
    started = [here.start(f"pair-{n}", task, frozenset()) for n in range(9)]
    assert started == [True] * 2 + [False] * 7
    assert here.size == 2
    assert len(asked) == 1
    monkeypatch.setattr(ray, "monotonic", lambda: 1e9)
    assert here.size == 2
    assert len(asked) == 2
