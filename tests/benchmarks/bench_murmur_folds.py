"""Murmur by patient: k-fold cross-validation of `murmur`, beside a random forest on the same folds.

Run: ``python -m tests.benchmarks.bench_murmur_folds DATA_DIR [--seeds N] [--set key=value ...]``
(and ``--with TECHNIQUE ...``), by hand. Every patient is tested on once by a
network that has not seen it. Intervals are 95 % by resampling patients (2,000 times), those of a
difference by resampling both together. The forest sees means, deviations and quantiles of each mel
band over all of a patient's recordings, and trains on the validation part too.
Known: a random forest reached 0.618, 0.785 and 0.703 on these 80 patients.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from baselines.murmur import MurmurSettings, data
from baselines.murmur.data import HEADS
from baselines.murmur.folds import deal
from baselines.murmur.scoring import scores
from baselines.murmur.sources import spectrograms
from baselines.murmur.training import Measure
from bench.recipes import assembly, registry, resolve
from bench.recipes.resolve import make_techniques
from bench.records.recipe import Recipe
from bench.trial.training import train

Floats = NDArray[np.float32]
CPU = torch.device("cpu")
SHOWN = ("murmur_weighted_accuracy", "present_auroc", "outcome_auroc",
         "outcome_weighted_accuracy", "outcome_cost")  # fmt: skip
KNOWN = {"murmur_weighted_accuracy": 0.618, "present_auroc": 0.785, "outcome_auroc": 0.703}
RESAMPLED = 2000


@dataclass
class Said:
    """Each patient's probabilities when it was tested on, of one seed."""

    murmur: Floats
    outcome: Floats

    @classmethod
    def nothing(cls, patients: int) -> Said:
        """Return an empty table."""
        return cls(*(np.zeros((patients, n), np.float32) for n in HEADS))


def network(settings: MurmurSettings, seed: int, names: list[str], techniques: list[str]) -> Said:
    """Train on each fold's others; return what is said of all patients."""
    said = Said.nothing(len(names))
    for fold in range(settings.folds):
        own = settings.model_copy(update={"fold": fold})
        job = _job(own, seed, techniques)
        test = data.load(own).test
        measure = Measure(test, own.batch_size, CPU)
        rows = [names.index(name) for name in test.names]
        model = train(job).model
        said.murmur[rows], said.outcome[rows] = measure.patients(measure.logits(model))
        print(f"seed {seed} fold {fold} done", file=sys.stderr, flush=True)
    return said


def _job(settings: MurmurSettings, seed: int, techniques: list[str]) -> Any:
    base = resolve.baseline_recipe("murmur", settings, {})
    used, baseline = make_techniques(techniques), registry.load_baseline("murmur")
    recipe: Recipe = resolve.with_techniques(base, baseline, used, lambda t: _no_probe, {})
    return assembly.build(recipe, {}, CPU, seed)


def _no_probe(*_: Any, **__: Any) -> Any:
    raise RuntimeError("techniques that search have no place here")


def forest(settings: MurmurSettings, seed: int) -> Said:
    """Return what a random forest on statistics of mel bands says, on the same folds."""
    found, _ = spectrograms(settings)
    table = np.stack([_statistics(found, row) for row in range(len(found.names))])
    labels = list(zip(found.murmur.tolist(), found.outcome.tolist(), strict=True))
    folds, said = deal(found.people, labels, settings.folds), Said.nothing(len(table))
    for fold in range(settings.folds):
        train_, test = folds != fold, folds == fold
        for truth, into in ((found.murmur, said.murmur), (found.outcome, said.outcome)):
            model = RandomForestClassifier(500, min_samples_leaf=2, random_state=seed)
            model.fit(table[train_], truth[train_])
            into[np.ix_(test, model.classes_)] = model.predict_proba(table[test])
    return said


def _statistics(found: Any, row: int) -> Floats:
    frames = np.concatenate([found.of(int(r)) for r in np.flatnonzero(found.owners == row)])
    frames = frames.astype(np.float32)
    parts = [frames.mean(0), frames.std(0), *np.quantile(frames, (0.1, 0.5, 0.9), axis=0)]
    made: Floats = np.concatenate(parts).astype(np.float32)
    return made


def resampled(
    measure: Callable[[NDArray[np.int64]], dict[str, float]], patients: int
) -> dict[str, tuple[float, float, float]]:
    """Return each metric of all patients, and its interval over resampled ones."""
    random = np.random.default_rng(0)
    whole = measure(np.arange(patients))
    draws = [measure(random.integers(0, patients, patients)) for _ in range(RESAMPLED)]
    return {
        name: (value, *np.nanquantile([d[name] for d in draws], (0.025, 0.975)))
        for name, value in whole.items()
    }


def metrics(said: list[Said], truth: Any) -> Callable[[NDArray[np.int64]], dict[str, float]]:
    """Return what measures some patients: the mean over seeds of each metric."""

    def measure(rows: NDArray[np.int64]) -> dict[str, float]:
        each = [
            scores(s.murmur[rows], s.outcome[rows], truth.murmur[rows], truth.outcome[rows])
            for s in said
        ]
        return {name: float(np.mean([one[name] for one in each])) for name in SHOWN}

    return measure


def main() -> None:
    """Print a table of metrics with intervals: network, forest, difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value")
    parser.add_argument("--with", nargs="*", default=[], dest="techniques")
    asked = parser.parse_args()
    values = dict(text.split("=", 1) for text in asked.set)
    settings = MurmurSettings.model_validate(
        {"dataset": "circor", "data_dir": asked.data_dir, **values}
    )
    truth, _ = spectrograms(settings)
    begun, seeds = time.process_time(), range(asked.seeds)
    names = list(truth.names)
    ours = metrics([network(settings, s, names, asked.techniques) for s in seeds], truth)
    spent = time.process_time() - begun
    theirs = metrics([forest(settings, s) for s in seeds], truth)

    def gap(rows: NDArray[np.int64]) -> dict[str, float]:
        one, other = ours(rows), theirs(rows)
        return {name: one[name] - other[name] for name in SHOWN}

    columns = [resampled(measure, len(truth.names)) for measure in (ours, theirs, gap)]
    print(f"{len(truth.names)} patients, {settings.folds} folds, {asked.seeds} seeds, "
          f"{spent:.0f} CPU-s; {' '.join([*asked.set, *asked.techniques])}")  # fmt: skip
    for name in SHOWN:
        found = [column[name] for column in columns]
        cells = [f"{value:,.3f} [{low:,.3f}, {high:,.3f}]" for value, low, high in found]
        known = f"; known forest {KNOWN[name]}" if name in KNOWN else ""
        print(f"{name}: network {cells[0]}; forest {cells[1]}; difference {cells[2]}{known}")


if __name__ == "__main__":
    main()
