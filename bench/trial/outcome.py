"""How a trial's outcome gets from its process to the run: as a file that appears whole."""

from __future__ import annotations

from pathlib import Path

from bench.errors import reason_of
from bench.trial.spec import Outcome, TrialSpec

NAME = "outcome.json"


class Unreadable(Exception):  # noqa: N818 - what is found, not a malfunction of ours
    """What a trial left is not its outcome; the message says why."""


def path_of(trial: TrialSpec) -> Path:
    """Return where a trial's outcome appears."""
    return Path(trial.scratch) / NAME


def send(outcome: Outcome, path: Path) -> None:
    """Write an outcome under a temporary name, then give it its own."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(outcome.model_dump_json().encode())
    temporary.replace(path)


def receive(trial: TrialSpec) -> Outcome | None:
    """Read a trial's outcome; None where it left none. Raises `Unreadable` for anything else."""
    try:
        outcome = Outcome.model_validate_json(path_of(trial).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unreadable(f"the trial's result can't be read: {reason_of(error)}") from None
    found = outcome.measurement
    if (found.arm, found.pair, found.seed) != (trial.arm, trial.pair, trial.seed):
        raise Unreadable(
            f"the trial's result is of {found.arm}, pair {found.pair}, seed {found.seed}"
        )
    return outcome
