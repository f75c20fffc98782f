"""Enter a trial's process: light, so that the run itself needs no torch."""

from __future__ import annotations

from multiprocessing.connection import Connection


def enter(text: str, requested: float, lifeline: Connection) -> None:
    """Import the worker, which the fork server has loaded already, and run the trial."""
    from bench.launch.group import observe
    from bench.trial import worker

    worker.run(text, requested, lifeline, observe)
