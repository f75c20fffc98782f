"""What an arm gains, and what it pays for that, in words: each gain with its interval."""

from __future__ import annotations

from bench.analysis.intervals import Interval
from bench.analysis.objectives import OBJECTIVES
from bench.analysis.results import ArmResult
from bench.analysis.sequential import LEAST_GAIN
from reports import formatting
from reports.formatting import listing
from reports.run import Run


def gains_of(run: Run, result: ArmResult) -> list[str]:
    """Return what an arm gains, a phrase for each objective."""
    gains = [text for text in (_time_gain(result), _memory_gain(result)) if text]
    return [*gains, *_metric_gain(run, result), *_deployed_gains(result)]


def cost_of(result: ArmResult) -> str:
    """Return in which objectives an arm is surely worse, and by how much; nothing: in none."""
    worse = ((row.name, _surely_worse(result.ratio(row.name))) for row in OBJECTIVES)
    costs = [f"{formatting.ratio(1 / factor)} the {name}" for name, factor in worse if factor]
    return f" at the cost of {listing(costs)}" if costs else ""


def _time_gain(result: ArmResult) -> str | None:
    if "faster" not in result.gains or result.time_ratio is None:
        return None
    what = "the whole training" if result.time_basis == "training" else "training steps"
    return f"makes {what} {_times(result.time_ratio, 'faster')}"


def _memory_gain(result: ArmResult) -> str | None:
    if "smaller" not in result.gains or result.memory_ratio is None:
        return None
    return f"needs {_times(result.memory_ratio, 'less memory')}"


def _metric_gain(run: Run, result: ArmResult) -> list[str]:
    if "better metric" not in result.gains or result.metric_difference is None:
        return []
    change = formatting.difference_with_interval(
        result.metric_difference, result.difference_is_relative
    )
    return [f"has a better {run.header.metric} ({change})"]


def _deployed_gains(result: ArmResult) -> list[str]:
    found = []
    if "less energy" in result.gains:
        found.append(f"takes {_times(result.energy_ratio, 'less energy')}")
    if "faster inference" in result.gains:
        found.append(f"answers {_times(result.ratio('inference time'), 'faster')}")
    if "smaller file" in result.gains and result.size_ratio is not None:
        found.append(f"deploys a file {formatting.ratio(result.size_ratio)} smaller")
    return found


def _times(ratio: Interval | None, what: str) -> str:
    return formatting.ratio_with_interval(ratio).replace("×", f"× {what}", 1)


def _surely_worse(interval: Interval | None) -> float | None:
    if interval is None or interval.high is None or interval.high * LEAST_GAIN >= 1:
        return None
    return interval.middle
