"""What shows a run's progress."""

from __future__ import annotations

from typing import Protocol

from bench.records.measurement import Measurement
from bench.records.run_folder import Folder


class Observer(Protocol):
    """What shows a run's progress; every method only shows."""

    def opened(self, folder: Folder) -> None:
        """Show which run this is: called once, first."""

    def expect(self, trials: int) -> None:
        """Add `trials` to the planned total."""

    def begin(self, what: str) -> None:
        """Show what runs now."""

    def done(self, record: Measurement) -> None:
        """Show how a trial ended."""

    def note(self, text: str) -> None:
        """Print one line."""
