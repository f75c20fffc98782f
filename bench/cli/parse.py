"""Parse what options say: durations, counts, margins, the one mode."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.analysis.objectives import BY_NAME, OBJECTIVES, QUALITY
from bench.baseline import MOST_THREADS
from bench.errors import BenchError
from bench.recipes import registry
from bench.recipes.references import parse_assignments, relative, whole_path
from bench.records.claim import read_exported
from bench.records.header import Arm
from bench.records.schema import Json

AUTO = "auto"
DATA_PARALLEL = "data-parallel"
"""The technique that --processes asks for."""
_UNITS = {"s": 1, "m": 60, "h": 3600}
CALLED = MappingProxyType({row.called: row.name for row in OBJECTIVES})
"""Objectives by what options call them."""
ANY = (*CALLED, QUALITY.name)
"""What a run may be after."""
TIMES = re.compile(r"(\d+(?:\.\d+)?)x")
"""A multiple of what the baseline takes."""
MOST_OBJECTIVES = 2
AMOUNTS: dict[str, dict[str, float]] = {
    "bytes": {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "KB": 1e3, "MB": 1e6, "GB": 1e9},
    "s": {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600},
    "J": {"J": 1, "kJ": 1e3},
}
EXAMPLES = {"bytes": "2GiB", "s": "15m", "J": "300J"}


def together(options: Mapping[str, str], texts: Sequence[str]) -> Json:
    """Return the settings of options (--epochs) and of --set; refuse one that is in both."""
    assigned = parse_assignments(texts)
    for name in options.keys() & assigned.keys():
        option = name.replace("_", "-")
        raise BenchError(
            f'the setting "{name}" is given twice: --{option} {options[name]} and --set '
            f"{name}={assigned[name]}"
        )
    return {**options, **assigned}


def parse_duration(text: str) -> float:
    """Return the seconds of ``90``, ``90s``, ``15m`` or ``2h``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not found or float(found[1]) <= 0:
        raise BenchError(f'"{text}" is not a duration above 0; write 90s, 15m or 2h')
    return float(found[1]) * _UNITS[found[2] or "s"]


def parse_objectives(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the names of one objective, or of two side by side."""
    if QUALITY.name in texts:
        if {*texts} != {QUALITY.name}:
            raise BenchError(
                f"--objective {' '.join(texts)}: quality stands alone; what may be paid for it "
                "is said by --limit, as in time=1.2x"
            )
        return (QUALITY.name,)
    names = tuple(dict.fromkeys(objective_of(text, "--objective", ANY) for text in texts))
    if len(names) > MOST_OBJECTIVES:
        raise BenchError(f"--objective {' '.join(texts)}: give one, or two side by side")
    return names


def parse_limits(texts: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Return limits by objective: ``memory=2GiB`` in its own unit, ``time=1.2x`` of the baseline's.

    The latter apart: as multiples.
    """
    amounts: dict[str, float] = {}
    times: dict[str, float] = {}
    for text in texts:
        name, _, amount = text.partition("=")
        objective = objective_of(name, "--limit")
        if objective in {*amounts, *times}:
            raise BenchError(f"--limit {name} is given twice; give it once")
        factor = TIMES.fullmatch(amount.strip())
        if factor and float(factor[1]) > 0:
            times[objective] = float(factor[1])
        else:
            amounts[objective] = _amount(text, amount, BY_NAME[objective].unit)
    return amounts, times


def parse_shares(texts: Sequence[str]) -> dict[str, float]:
    """Return by objective the shares of ``time=5%`` or ``memory=10%``."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, amount = text.partition("=")
        share = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", amount.strip())
        if not share:
            raise BenchError(f'--limit "{text}" is no share; write {name or "time"}=5%')
        if (objective := objective_of(name, "--limit")) in found:
            raise BenchError(f"--limit {name} is given twice; give it once")
        found[objective] = float(share[1]) / 100
    return found


def objective_of(text: str, option: str, known: Sequence[str] = tuple(CALLED)) -> str:
    """Return the objective that an option calls so."""
    if text in CALLED:
        return CALLED[text]
    raise BenchError(f'{option}: no objective named "{text}"; there are: {", ".join(known)}')


def _amount(whole: str, text: str, unit: str) -> float:
    units = AMOUNTS[unit]
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-zA-Z]*)", text.strip())
    if not found or found[2] not in units or float(found[1]) <= 0:
        raise BenchError(
            f'--limit "{whole}" is no amount above 0 in {", ".join(units)}, as {EXAMPLES[unit]} '
            "is, and no multiple of the baseline's, as 1.2x is"
        )
    return float(found[1]) * units[found[2]]


def parse_repeats(text: str) -> int | None:
    """Return a number of pairs, or None for ``auto``."""
    if text == AUTO:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise BenchError(f'--repeats "{text}" is neither a number above 0 nor auto')
    return int(text)


def parse_margin(text: str | None) -> float | None:
    """Return an optional margin, at least 0 and finite; None also for ``auto``."""
    if text in (None, AUTO):
        return None
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise BenchError(f"--margin {text} is neither a number of 0 or more nor auto")
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


def refuse_other_baseline(baseline: str, files: Sequence[str]) -> None:
    """Raise `BenchError` where a recipe is to be measured against another baseline than its own."""
    for file in files:
        own = read_exported(Path(file)).baseline.baseline
        if relative(baseline) != own:
            raise BenchError(
                f"--baseline {baseline} is not what {file} was exported against, {own}: leave "
                "--baseline out"
            )


def refuse_beside_nodes(on: str | None, **given: object) -> None:
    """Raise `BenchError` for an option that holds for one machine alone, beside ``--on``."""
    for name, value in given.items():
        if on is not None and value:
            raise BenchError(
                f"--{name.replace('_', '-')} holds for one machine: leave it out beside --on {on}"
            )


def raced(mode: str, arms: tuple[Arm, ...], objectives: Sequence[str]) -> tuple[Arm, ...]:
    """Return the arms that are raced: none where settings are searched for the best metric."""
    if QUALITY.name not in objectives:
        return arms
    if mode != "full-optimization":
        raise BenchError(
            f"--objective quality searches a baseline's settings: give it to --full-optimization, "
            f"not to --{mode}"
        )
    return ()


def with_processes(asked: dict[str, Any], processes: int | None, shard: bool) -> dict[str, Any]:
    """Return what was asked for with data-parallel in it: alone, or in what is combined."""
    if processes is None:
        if shard:
            raise BenchError("--shard shares out the model among --processes N: give both")
        return asked
    text = f"{DATA_PARALLEL}:processes={processes}" + (",shard=true" if shard else "")
    for mode in ("baseline-only", "full-optimization", "recipe"):
        if asked[mode]:
            raise BenchError(
                f"--processes goes with --test or --combine, not with --{mode}: a baseline trains "
                "in one process, and a recipe says in how many"
            )
    mode = "combine" if asked["combine"] else "test"
    return {**asked, mode: [*(asked[mode] or []), text]}


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
