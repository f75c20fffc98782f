"""Measure an exported recipe within a session of pytest: the fixture ``bench_recipe``.

    def test_training_cost(bench_recipe):
        bench_recipe("optimized.json", max_time_ratio=0.8, max_memory="2GiB")

Imported whenever pytest starts where `bench` is installed, so nothing heavy is imported here.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from bench.analysis.results import ArmResult
    from bench.records.measurement import Measurement

PAIRS = 4
"""As few as bound a ratio usefully."""


class MeasureRecipe(Protocol):
    """What the fixture gives."""

    def __call__(
        self, recipe: str | Path, *, max_time_ratio: float | None = None,
        max_memory: str | None = None, pairs: int = PAIRS,
    ) -> ArmResult:  # fmt: skip
        """Measure a recipe against its baseline in so many pairs; fail the test beyond a limit.

        `max_time_ratio` is of the recipe's time to the baseline's: 0.8 asks for a fifth less. It is
        kept where the whole interval is below; where it can't be told, the test fails too.
        `max_memory` (``2GiB``) is the largest peak of any trial of the recipe. A training of it
        that fails, or runs out of time, fails the test.
        """
        ...


@pytest.fixture
def bench_recipe(request: pytest.FixtureRequest, tmp_path: Path) -> MeasureRecipe:
    """Return what measures a recipe against its baseline, in pairs of fresh processes.

    Where pytest-benchmark is installed and measures, the recipe's trials are stored by it.
    """

    def measure(
        recipe: str | Path, *, max_time_ratio: float | None = None, max_memory: str | None = None,
        pairs: int = PAIRS,
    ) -> ArmResult:  # fmt: skip
        from bench.errors import BenchError

        try:
            most = _bytes(max_memory)
            _check(max_time_ratio, pairs)
            found, trials = _measured(Path(recipe), pairs, tmp_path / "results")
            problems = [*_lost(found), *_beyond(found, trials, max_time_ratio, most)]
        except BenchError as error:
            raise pytest.fail.Exception(f"bench: {error}", pytrace=False) from None
        _store(request, found, trials)
        if problems:
            pytest.fail("; ".join(problems), pytrace=False)
        return found

    return measure


def _measured(recipe: Path, pairs: int, output: Path) -> tuple[ArmResult, list[Measurement]]:
    """Run the pairs; return what they give, and the recipe's good trials."""
    from bench.analysis.comparison import compare_run
    from bench.cli import progress
    from bench.errors import BenchError
    from bench.records.header import Arm
    from bench.run.modes import MODES
    from bench.run.opening import opened
    from bench.run.request import Request

    asked = Request(
        mode="recipe", baseline="", arms=(Arm(recipe_file=str(recipe)),), repeats=pairs,
        output=output,
    )  # fmt: skip
    with progress.choose(quiet=True) as display, opened(asked, display) as session:
        MODES[asked.mode](session)
        arms = compare_run(session.header, session.records, session.probed).arms
        if not arms:
            raise BenchError(
                f"{recipe} changes nothing of its baseline: there is nothing to compare"
            )
        (found,) = arms
        trials = [trial for trial in session.records if trial.arm == found.arm and trial.ok]
    if not trials:
        raise BenchError(f"{recipe} gave no measurement: {found.reason}")
    return found, trials


def _beyond(
    found: ArmResult, trials: list[Measurement], max_time_ratio: float | None, most: float | None
) -> list[str]:
    """Return what is beyond its limit, or can't be told to be within."""
    problems = []
    if max_time_ratio is not None:
        problems += _too_slow(found, max_time_ratio)
    if most is not None:
        peaks = [p for trial in trials if (p := trial.peak_memory_bytes) is not None]
        if not peaks:
            problems.append("its peak memory is unknown here")
        elif max(peaks) > most:
            problems.append(f"peak memory {_mib(max(peaks))}, limit {_mib(most)}")
    return problems


def _mib(amount: float) -> str:
    return f"{amount / 2**20:.4g} MiB"


def _bytes(max_memory: str | None) -> float | None:
    """Return a limit of memory in bytes; raise `BenchError` where it is none."""
    from bench.cli.parse import parse_limits
    from bench.errors import BenchError

    if max_memory is None:
        return None
    limits, times = parse_limits([f"memory={max_memory}"])
    if times:
        raise BenchError(f"max_memory={max_memory} is no amount; write one as 2GiB")
    return limits["memory"]


def _check(max_time_ratio: float | None, pairs: int) -> None:
    """Raise `BenchError` for a limit that nothing can keep, or no pairs."""
    from bench.errors import BenchError

    if max_time_ratio is not None and not 0 < max_time_ratio < math.inf:
        raise BenchError(f"max_time_ratio={max_time_ratio} is no ratio; write one above 0, as 0.8")
    if pairs < 1:
        raise BenchError(f"pairs={pairs} measures nothing; ask for 1 or more")


def _lost(found: ArmResult) -> list[str]:
    """Return what was lost of the recipe's trainings: the others alone are no measure of it."""
    made = sum(found.statuses.values())
    lost = [f"{n} {how.replace('_', ' ')}" for how, n in found.statuses.items() if how != "ok"]
    return [f"of {made} trainings of the recipe {' and '.join(lost)}"] if lost else []


def _too_slow(found: ArmResult, limit: float) -> list[str]:
    ratio = found.time_ratio
    if ratio is None or ratio.low is None or ratio.high is None:
        return [f"its time ratio is not bounded by {found.pairs} pairs: ask for more"]
    low, high = 1 / ratio.high, 1 / ratio.low  # of the candidate to the baseline
    if high <= limit:
        return []
    said = f"time ratio {1 / ratio.middle:.3f} [{low:.3f}, {high:.3f}], limit {limit:g}"
    return [said if low > limit else f"{said}: {found.pairs} pairs can't tell"]


def _store(request: pytest.FixtureRequest, found: ArmResult, trials: list[Measurement]) -> None:
    """Give pytest-benchmark the trials as rounds, and what is no time beside them."""
    session = getattr(request.config, "_benchmarksession", None)
    if session is None or session.disabled or session.skip:
        return
    benchmark: Any = request.getfixturevalue("benchmark")
    whole = found.time_basis == "training"
    seconds = [t.train_seconds if whole else t.seconds_per_item for t in trials]
    stats = benchmark._make_stats(1)  # the package has no public way to hand times over
    for value in seconds:
        if value is not None:
            stats.update(value)
    benchmark.group = "a whole training" if whole else "an item"
    benchmark.extra_info.update(
        time_ratio=_interval(found.time_ratio), memory_ratio=_interval(found.memory_ratio),
        metric=_interval(found.metric), verdict=str(found.verdict),
    )  # fmt: skip


def _interval(of: Any) -> list[float | None] | None:
    return None if of is None else [of.low, of.middle, of.high]
