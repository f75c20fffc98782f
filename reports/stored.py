"""Many stored runs: which folders are one, what each tells, and why one can't be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.analysis.arm_settings import settings_of
from bench.analysis.comparable import data_of
from bench.analysis.history import Told
from bench.errors import BenchError
from bench.records.measurement import BASELINE
from reports import formatting
from reports.run import Run, read


class Unread(NamedTuple):
    """A folder that is no run, or a damaged one."""

    folder: Path
    reason: str

    @property
    def line(self) -> str:
        """Return both in one line."""
        return f"{self.folder}: {self.reason}"


def stored(places: Sequence[Path]) -> Iterator[Run | Unread]:
    """Yield the runs in some places, each a run's folder or one that holds them.

    A folder that is named twice is read once. Raises `BenchError` for a place that is no folder.
    """
    seen: set[Path] = set()
    for place in places:
        if not place.is_dir():
            raise BenchError(f"{place} is no folder; name one that runs were made in (--output)")
        for folder in [place] if (place / "run.json").is_file() else _within(place):
            if folder.resolve() not in seen:
                seen.add(folder.resolve())
                yield _one(folder)


def told(run: Run) -> Told:
    """Return what a run says in a history."""
    settings = {arm: settings_of(run.trials, arm) for arm in run.measured}
    own = run.figures.get(BASELINE)
    return Told(run.header, run.comparison, own, data_of(run.trials), settings)


def machine(environment: dict[str, Any]) -> str:
    """Return a machine in a few words: its processor, how many cores of it, its GPUs."""
    cores = environment.get("cores")
    gpus = [str(gpu.get("name")) for gpu in environment.get("gpus") or () if isinstance(gpu, dict)]
    known = [str(environment.get("cpu") or f"{formatting.UNKNOWN} processor")]
    known += [formatting.number(cores, "core")] if isinstance(cores, int) else []
    return ", ".join([*known, *gpus])


def _within(place: Path) -> list[Path]:
    try:
        folders = [path for path in place.iterdir() if path.is_dir()]
    except OSError as error:
        raise BenchError(f"can't read {place}: {error.strerror}") from None
    return sorted(path for path in folders if not path.name.startswith("."))


def _one(folder: Path) -> Run | Unread:
    try:
        return read(folder)
    except BenchError as error:
        return Unread(folder, " ".join(str(error).removeprefix(f"{folder} ").split()))
    except OSError as error:
        return Unread(folder, f"can't be read: {error.strerror}")
