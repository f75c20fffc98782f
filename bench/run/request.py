"""What a run is asked to do, as typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.records.audit import Experiment
from bench.records.claim import Claim
from bench.records.header import Arm
from bench.records.schema import Json
from bench.run.compared import Compared


@dataclass(frozen=True)
class Request:
    """What a run is asked to do, as typed."""

    mode: str
    baseline: str
    settings: Json = field(default_factory=dict)
    arms: tuple[Arm, ...] = ()
    device: str = "auto"
    threads: int | None = None
    seed: int = 0
    repeats: int | None = None
    objectives: tuple[str, ...] = ()
    """In which a gain counts, by name; none: in any."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """What no arm may exceed, by objective."""
    times_baseline: Mapping[str, float] = field(default_factory=dict)
    """The same, as multiples of what the baseline takes."""
    budget_seconds: float | None = None
    trial_timeout_seconds: float = 1800.0
    margin: float | None = None
    """None: what the target says, or a hundredth of the metric's own unit."""
    margin_auto: bool = False
    """Whether the baseline's first trials are to widen it to what they can show."""
    claim: Claim | None = None
    """What is verified."""
    reuse: bool = False
    """Whether trials are taken from earlier runs in `output`."""
    compared: Compared | None = None
    """Two states of the user's code, where these are compared."""
    audit: Experiment | None = None
    """Published claims, where these are measured."""
    on: str | None = None
    """The scheduler whose nodes measure the pairs; None: this machine does."""
    output: Path = Path("results")
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resumption:
    """An unfinished run to go on with, everything as it was asked for."""

    path: Path
    trusted: bool = False
    """Whether code may run that was never named on a command line here."""
