"""The front: arms of which no other is better in both of two objectives, by their middles."""

from __future__ import annotations

from collections.abc import Mapping


def front(found: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the arms that none beats in both values (more is better), by the first of them."""
    order = sorted(found, key=lambda arm: (-found[arm][0], -found[arm][1], arm))
    chosen: list[str] = []
    best = float("-inf")
    for arm in order:
        if found[arm][1] > best:
            chosen.append(arm)
            best = found[arm][1]
    return chosen
