"""Check which techniques go together, and what their combination does to the training."""

from __future__ import annotations

from collections.abc import Iterable

from bench.errors import Clash
from bench.records.measurement import Work
from bench.technique import Effect, Parts, Technique

SAME_WORK = frozenset({Effect.EXACT, Effect.ROUNDING})


def check_conflicts(techniques: Iterable[Technique]) -> None:
    """Raise `Clash` for two techniques that exclude each other, or one that is there twice."""
    seen: list[Technique] = []
    for new in techniques:
        for old in seen:
            if old.name == new.name:
                raise Clash(f"{new.name} is there twice; give it once")
            if new.name in old.conflicts or old.name in new.conflicts:
                raise Clash(f"{old.name} and {new.name} exclude each other; use one of them")
        seen.append(new)


def effect_of(techniques: Iterable[Technique]) -> Effect:
    """Return the strongest effect among techniques; none has the effect EXACT."""
    order = list(Effect)
    return max((Effect(t.effect) for t in techniques), key=order.index, default=Effect.EXACT)


def rounding_of(techniques: Iterable[Technique]) -> float | None:
    """Return how far the roundest arithmetic among techniques may move the first losses."""
    own = (t.rounding for t in techniques if Effect(t.effect) is Effect.ROUNDING)
    return max(own, default=None)


def touches_of(techniques: Iterable[Technique]) -> Parts | None:
    """Return all that techniques can make cheaper together; None: anything."""
    own = [technique.touches for technique in techniques]
    return None if None in own else Parts().union(*(parts for parts in own if parts))


def group_size(techniques: Iterable[Technique]) -> int:
    """Return how many processes train together with these techniques."""
    return max((technique.group_size() for technique in techniques), default=1)


def work_of(techniques: Iterable[Technique]) -> Work:
    """Label what a gain of these techniques would come from."""
    used = list(techniques)
    if any(technique.less_work for technique in used):
        return "less work"
    same = effect_of(used) in SAME_WORK
    return "same work" if same else "other mathematics"
