"""What a search tries next: optuna's tree of Parzen estimators, by what the tries so far gave.

It draws the same again from the same seed and the same answers: nothing of it is kept, a run that
goes on tells it once more what stands in the journal.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bench.errors import BenchError
from bench.records.ranges import Range, Value

STARTUP = 9
"""Tries that are drawn at random before any are drawn by what these gave."""
EXCESS = "excess"
"""What optuna's constraint is called: above 0, settings are not to be had."""
Settings = dict[str, Value]


def is_installed() -> bool:
    """Tell whether optuna is there."""
    return find_spec("optuna") is not None


def check_installed() -> None:
    """Raise `BenchError` where optuna is missing."""
    if not is_installed():
        raise BenchError("a search for settings needs optuna: pip install 'trainpairs[search]'")


class Sampler:
    """Draws settings from ranges, the more promising the more it was told."""

    def __init__(self, ranges: Mapping[str, Range], seed: int) -> None:
        check_installed()
        self._optuna = import_module("optuna")  # an extra, and a second to import
        with self._quietly():
            sampler = self._optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=STARTUP, constant_liar=True
            )
            self._study = self._optuna.create_study(direction="maximize", sampler=sampler)
        self._ranges = ranges
        self._space = {name: self._distribution(one) for name, one in ranges.items()}
        self._asked: list[Any] = []

    def know(self, settings: Settings, gain: float) -> None:
        """Add what is known of settings before anything is tried, where they are in the ranges."""
        if not all(one.holds(settings[name]) for name, one in self._ranges.items()):
            return
        trial = self._optuna.trial.create_trial(
            params={name: settings[name] for name in self._ranges}, distributions=self._space,
            value=gain, constraints={EXCESS: 0.0},
        )  # fmt: skip
        with self._quietly():
            self._study.add_trial(trial)

    def begin_with(self, settings: Settings) -> None:
        """Ask for these settings first."""
        with self._quietly():
            self._study.enqueue_trial(settings)

    def ask(self) -> tuple[int, Settings]:
        """Return the next settings to try, with their number among all that were asked for."""
        with self._quietly():
            self._asked.append(self._study.ask(self._space))
        return len(self._asked) - 1, dict(self._asked[-1].params)

    def tell(self, number: int, gain: float | None, excess: float = 0.0) -> None:
        """Say what settings gave, and by how much they exceed a limit; None: nothing at all."""
        trial = self._asked[number]
        with self._quietly():
            if gain is None:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
                return
            trial.set_constraint(EXCESS, excess)
            self._study.tell(trial, gain)

    def _distribution(self, one: Range) -> Any:
        kinds = self._optuna.distributions
        if one.values:
            return kinds.CategoricalDistribution(one.values)
        kind = kinds.IntDistribution if one.whole else kinds.FloatDistribution
        return kind(one.low, one.high, log=one.log)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Keep optuna from printing, and leave its verbosity as it was."""
        before = self._optuna.logging.get_verbosity()
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
                yield
        finally:
            self._optuna.logging.set_verbosity(before)
