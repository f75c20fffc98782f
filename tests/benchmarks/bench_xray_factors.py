"""A report's seven factors, before -> after, told apart on real images; by hand.

Run: ``python -m tests.benchmarks.bench_xray_factors [--rounds 5] [--threads 1]``, and for quality
``... --quality after after+cached [--seeds 5]``. Data: `shared/data/xray` beside the checkout.

An arm is `preset=before` with one setting (or all) of `preset=after`. Steps of all arms are timed
in turn, in random order, in one process: CPU seconds of the input (augmentation, rescaling)
and of the computation (forward, backward, update). A whole run is projected from them:

    run = epochs * steps * median step + once, for what an arm does once (extracting features)

Arms marked "whole" are trained to the end too, and their CPU seconds are measured. The batch alone
keeps the images of an epoch (143 * 25 / 64 = 56 steps). Decoding is timed apart: it happens once,
into the cache; a report's pipeline does it for every image drawn, which "end to end" adds to
"before" only (`decode` seconds an image, measured here on the same files at its size).
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from baselines.xray import decoded, sources
from baselines.xray.settings import PRESETS
from bench.batches import Batch
from bench.job import Job, Progress
from bench.testing import Case
from bench.trial.training import train

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "xray"
BEFORE, AFTER = PRESETS["before"], PRESETS["after"]
DECODED = 200
"""Images whose decoding is timed."""


@dataclass(frozen=True)
class Arm:
    """Settings that differ from "before", and techniques."""

    settings: dict[str, Any] = field(default_factory=dict)
    techniques: tuple[str, ...] = ()
    timed_as: str | None = None
    """Another arm, whose steps are the same."""


def only(*names: str, **others: Any) -> dict[str, Any]:
    """Return some settings of "after"."""
    return {name: AFTER[name] for name in names} | others


ARMS = {
    "before": Arm(),
    "architecture": Arm(only("architecture", "width")),
    "size": Arm(only("image_size")),
    "batch": Arm(only("batch_size", steps_per_epoch=round(143 * 25 / 64))),
    "epochs": Arm(only("epochs"), timed_as="before"),
    "steps": Arm(only("steps_per_epoch"), timed_as="before"),
    "augmentation": Arm(only("augmentation")),
    "freezing": Arm(only("trainable_layers")),
    "after": Arm(AFTER),
    "after+channels-last": Arm(AFTER, ("channels-last",)),
    "after+cached": Arm(AFTER, ("channels-last", "cached-features")),
    "after+cached by 16": Arm(AFTER, ("channels-last", "cached-features:at_once=16")),
}
JUDGED = {
    "before in bf16": Arm({}, ("allocator", "channels-last", "mixed-precision")),
    "after, pretrained": Arm(AFTER | {"pretrain_epochs": 2}, ("cached-features:at_once=16",)),
    "after+cached by 16+allocator": Arm(
        AFTER, ("channels-last", "cached-features:at_once=16", "allocator")
    ),
}
"""Not timed in turn with the others: "before" in faster arithmetic, "after" on a backbone that
isn't random, and what changes the whole process."""
WHOLE = ("after", "after+channels-last", "after+cached", "after+cached by 16",
         "after+cached by 16+allocator")  # fmt: skip


@dataclass
class Timed:
    """An arm's job as steps are drawn from it, and what they cost in CPU seconds."""

    job: Job
    inputs: list[float] = field(default_factory=list)
    computing: list[float] = field(default_factory=list)
    once: float = 0.0
    """The first draw, less a usual one: extracting features."""

    def __post_init__(self) -> None:
        self.optimizer = self.job.make_optimizer(self.job.model)
        self.batches = self._endless()
        self.job.model.train()

    def _endless(self) -> Iterator[Batch]:
        for epoch in range(1000):
            yield from self.job.batches(Progress(self.job.epochs, epoch % self.job.epochs))

    def step(self) -> tuple[float, float]:
        """Return the CPU seconds of one batch, and of one step on it."""
        begun = time.process_time()
        batch = next(self.batches)
        drawn = time.process_time()
        self.job.step(self.job, batch, self.optimizer, lambda phase: None)
        return drawn - begun, time.process_time() - drawn

    def warm_up(self) -> None:
        """Make two steps that aren't counted; keep what the first draw costs more."""
        (first, _), (usual, _) = self.step(), self.step()
        self.once = max(0.0, first - usual) if "batches" in self.job.taken else 0.0

    @property
    def seconds(self) -> tuple[float, float]:
        """Return the medians of input and computation."""
        return statistics.median(self.inputs), statistics.median(self.computing)


def case(arm: Arm) -> Case:
    """Return the baseline in an arm's settings."""
    place = {"dataset": "pneumonia", "data_dir": str(DATA), "preset": "before"}
    return Case("xray", {**place, **BEFORE, **arm.settings})


def built(name: str, seed: int = 0) -> Job:
    """Return an arm's job."""
    arm = (ARMS | JUDGED)[name]
    return case(arm).job(*arm.techniques, seed=seed)


def interleaved(rounds: int) -> dict[str, Timed]:
    """Time steps of all arms in turn."""
    arms = {}
    for name in [name for name, arm in ARMS.items() if arm.timed_as is None]:
        arms[name] = Timed(built(name))
        arms[name].warm_up()
    shuffled = random.Random(0)
    for _ in range(rounds):
        for name in shuffled.sample(list(arms), len(arms)):
            fed, computed = arms[name].step()
            arms[name].inputs.append(fed)
            arms[name].computing.append(computed)
    return arms


def run_seconds(name: str, arms: dict[str, Timed]) -> tuple[float, float]:
    """Return the projected CPU seconds of a whole run: of its inputs, and of its computation."""
    arm = ARMS[name]
    timed, settings = arms[arm.timed_as or name], BEFORE | arm.settings
    steps = settings["epochs"] * settings["steps_per_epoch"]
    fed, computed = timed.seconds
    return steps * fed, steps * computed + timed.once


def decode_seconds() -> float:
    """Return the CPU seconds of decoding one image to the size of "before"."""
    files = sources.task("pneumonia", DATA).parts["train"].files
    chosen = [files[index] for index in np.linspace(0, len(files) - 1, DECODED).astype(int)]
    begun = time.process_time()
    for file in chosen:
        decoded.image(file, BEFORE["image_size"], colour=False)
    return (time.process_time() - begun) / len(chosen)


def whole_seconds(name: str) -> tuple[float, dict[str, float]]:
    """Train an arm to the end; return the CPU seconds of training, and its metrics."""
    job, spent = built(name), [0.0]
    evaluate = job.evaluate

    def timed_evaluate(model: torch.nn.Module) -> Any:
        begun = time.process_time()
        found = evaluate(model)
        spent[0] += time.process_time() - begun
        return found

    begun = time.process_time()
    result = train(job.wrap("evaluate", lambda old: timed_evaluate, by="benchmark"))
    return time.process_time() - begun - spent[0], dict(result.evaluations[-1].values)


def compare(rounds: int) -> None:
    """Print each arm's step, its whole run, and how many times faster than "before" that is."""
    decode = decode_seconds()
    arms = interleaved(rounds)
    fed_before, computed_before = run_seconds("before", arms)
    images = BEFORE["epochs"] * BEFORE["steps_per_epoch"] * BEFORE["batch_size"]
    print(f"decoding an image of {BEFORE['image_size']}: {decode * 1e3:.2f} ms CPU")
    print("arm: input + computation a step; run (projected); compute ratio, with input, with"
          " decoding every image of before")  # fmt: skip
    for name in ARMS:
        timed = arms[ARMS[name].timed_as or name]
        fed, computed = run_seconds(name, arms)
        once = f", {timed.once:.1f} s once" if timed.once else ""
        print(
            f"{name}: {timed.seconds[0] * 1e3:.1f} ms + {timed.seconds[1]:.4f} s{once};"
            f" {fed + computed:.0f} s; {computed_before / computed:.2f}x,"
            f" {(fed_before + computed_before) / (fed + computed):.2f}x,"
            f" {(fed_before + computed_before + images * decode) / (fed + computed):.2f}x",
            flush=True,
        )
    whole(fed_before + computed_before)


def whole(before: float) -> None:
    """Train what fits to the end; print its time, and how many times that is in `before`."""
    for name in WHOLE:
        seconds, found = whole_seconds(name)
        ratio = f"before (projected) / this {before / seconds:.1f}x"
        print(f"{name}, measured whole: {seconds:.1f} s CPU, {ratio}, AUROC {found['auroc']:.4f}",
              flush=True)  # fmt: skip


def quality(names: list[str], seeds: int) -> None:
    """Print the test AUROC of arms over seeds, with a 95 % interval of the mean."""
    for name in names:
        found = []
        for seed in range(seeds):
            found.append(train(built(name, seed)).evaluations[-1].values["auroc"])
            print(f"{name}, seed {seed}: {found[-1]:.4f}", flush=True)
        half = stats.t.ppf(0.975, seeds - 1) * stats.sem(found) if seeds > 1 else float("nan")
        print(f"{name}: AUROC {statistics.mean(found):.4f} +- {half:.4f} over {seeds} seeds")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quality", nargs="+", choices=[*ARMS, *JUDGED])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--whole", type=float, metavar="BEFORE", help="only that, against it (s)")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.quality:
        quality(asked.quality, asked.seeds)
    elif asked.whole:
        whole(asked.whole)
    else:
        compare(asked.rounds)


if __name__ == "__main__":
    main()
