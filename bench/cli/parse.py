"""Parse what options say: durations, counts, margins, the one mode."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.baseline import MOST_THREADS
from bench.errors import BenchError
from bench.recipes import registry
from bench.recipes.references import whole_path
from bench.records.header import Arm

_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Return the seconds of ``90``, ``90s``, ``15m`` or ``2h``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not found or float(found[1]) <= 0:
        raise BenchError(f'"{text}" is not a duration above 0; write 90s, 15m or 2h')
    return float(found[1]) * _UNITS[found[2] or "s"]


def parse_repeats(text: str) -> int | None:
    """Return a number of pairs, or None for ``auto``."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise BenchError(f'--repeats "{text}" is neither a number above 0 nor auto')
    return int(text)


def parse_margin(value: float | None) -> float | None:
    """Return an optional margin, at least 0 and finite."""
    if value is not None and not 0 <= value < float("inf"):
        raise BenchError(f"--margin {value} is not a number of 0 or more")
    return value


def threads_of(value: int | None) -> int | None:
    """Return how many threads were asked for, if any; refuse what no machine can start."""
    if value is not None and not 1 <= value <= MOST_THREADS:
        raise BenchError(f"--threads {value} is not between 1 and {MOST_THREADS}")
    return value


def refuse_changes(option: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    """Raise `BenchError` for an option beside one that goes on with things as they were asked."""
    for name in given:
        if name not in allowed:
            said = name.strip("_").replace("_", "-")
            raise BenchError(
                f"{option} goes on with what the run was asked: --{said} can't be changed; "
                "leave it out, or start a new run"
            )


def choose_mode(asked: dict[str, Any]) -> tuple[str, tuple[Arm, ...]]:
    """Return the one mode that was asked for, with its arms."""
    given = [mode for mode, value in asked.items() if value]
    if len(given) != 1:
        said = " and ".join(f"--{mode}" for mode in given) or "none"
        options = ", ".join(f"--{mode}" for mode in asked)
        raise BenchError(f"give one of {options} ({said} given)")
    mode, value = given[0], asked[given[0]]
    if mode == "baseline-only":
        return mode, ()
    if mode == "full-optimization":
        return mode, tuple(Arm(techniques=(name,)) for name in registry.names(registry.TECHNIQUES))
    if mode == "recipe":
        return mode, tuple(Arm(recipe_file=str(Path(file).resolve())) for file in value)
    texts = [whole_path(text) for text in value]
    if mode == "combine":
        return mode, (Arm(techniques=tuple(texts)),)
    return mode, tuple(Arm(techniques=(text,)) for text in texts)
