"""Name the arms of a run: by their techniques, and by the settings that tell two of them apart."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import BenchError
from bench.records.schema import plain_text
from bench.technique import Technique

Used = list[tuple[str, Technique]]
"""The techniques of an arm, each with the reference that it was asked for by."""


def labels(arms: Sequence[Used]) -> list[tuple[str, ...]]:
    """Return, for each arm, what its techniques are called in this run.

    That is their names. Where several arms have the same names, the settings in which these arms
    differ are added: ``pruning:ratio=0.3`` and ``pruning:ratio=0.5``. Raises `BenchError` for two
    arms that do the same.
    """
    names = [[technique.name for _, technique in used] for used in arms]
    found = []
    for own, used in zip(names, arms, strict=True):
        alike = [other for name, other in zip(names, arms, strict=True) if name == own]
        found.append(tuple(_label(used, alike, index) for index in range(len(used))))
    for label in found:
        if found.count(label) > 1:
            raise BenchError(f"{join(label)} is given twice; give it once, or other settings")
    return found


def join(label: Sequence[str]) -> str:
    """Return the name of an arm."""
    return "+".join(label)


def _label(used: Used, alike: Sequence[Used], index: int) -> str:
    technique = used[index][1]
    own = technique.model_dump(mode="json")
    others = [other[index][1].model_dump(mode="json") for other in alike]
    telling = [key for key in own if any(other.get(key) != own[key] for other in others)]
    if not telling:
        return technique.name
    return f"{technique.name}:{','.join(f'{key}={plain_text(own[key])}' for key in telling)}"
