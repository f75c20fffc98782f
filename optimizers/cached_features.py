"""Cached features: run a frozen encoder over the training items once, and train on its outputs.

What:    before the first step every training item goes through the encoder, whose outputs are kept
         in memory or in a memory-mapped file; batches then hold these in place of the inputs.
         Held-out items are kept too, by the content of their batches. The pass is inside the
         training's clock: reports show it as set-up, with the steps that pay it.
Helps:   trainings of a head on a frozen encoder: all epochs after the first cost the head alone.
Hurts:   a single epoch gains nothing; distillation and quantization run whole models on batches.
Effect:  rounding; bit-equal where features don't depend on an item's place in its batch.
Source:  Kornblith et al., Do Better ImageNet Models Transfer Better?, CVPR 2019 (fixed features).
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import ClassVar, Literal, ParamSpec, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.batches import Batch, each_tensor, inputs_of, joined, select_items, with_inputs
from bench.errors import NotApplicable
from bench.job import FixedItems, Job, Progress
from bench.model.outputs import FAILURES, loss_without_training
from bench.model.train_mode import evaluating
from bench.model.untouched import untouched
from bench.model.varied import varied
from bench.random_state import undisturbed
from bench.technique import Effect, Stage, Technique

CLOSE = 1e-2
"""How far, relatively, the loss of features may lie from that of inputs: by 16-bit arithmetic."""


class CachedFeatures(Technique):
    """Extract once, then train on what was extracted."""

    name: ClassVar[str] = "cached-features"
    stage: ClassVar[Stage] = Stage.MEMORY
    effect: ClassVar[Effect] = Effect.ROUNDING
    conflicts: ClassVar[frozenset[str]] = frozenset({"knowledge-distillation", "quantization"})

    store: Literal["memory", "file"] = Field(
        "memory", description="keep the features in memory, or in a temporary memory-mapped file"
    )
    at_once: int | None = Field(None, ge=1, description="items encoded together; null: a batch")

    def apply(self, job: Job) -> Job:
        """Claim `batches`; wrap losses and `validate`; teach the encoder to let features pass."""
        cache = _Cache(*_fixed(job), self.store == "file", self.at_once)
        kind = type(cache.encoder)
        cache.encoder.__class__ = _teachable(kind, cache)
        try:
            with untouched(job.model):
                _check_losses(job, cache)
        except NotApplicable:
            cache.encoder.__class__ = kind
            raise
        job = job.claim("batches", cache.batches, by=self.name)
        for part in ("loss", "item_losses"):
            job = job.wrap(part, lambda old: old and cache.during("pass", old), by=self.name)
        return job.wrap("validate", lambda old: old and cache.during("remember", old), self.name)


def _fixed(job: Job) -> tuple[nn.Module, FixedItems]:
    """Return encoder and items; raise `NotApplicable` where outputs may change in training."""
    if job.encoder is None:
        raise NotApplicable("the baseline names no part of its model as an encoder")
    encoder = job.model.get_submodule(job.encoder)
    training = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    if training:
        raise NotApplicable(
            f"the encoder ({job.encoder}) trains: {training:,} of its weights, and with them"
            " its outputs, change; freeze it first (freeze-encoder)"
        )
    if job.fixed is None:
        raise NotApplicable("training items may change (augmentation): the job has no `fixed` ones")
    _check_repeatable(job, encoder, job.fixed)
    return encoder, job.fixed


def _check_repeatable(job: Job, encoder: nn.Module, items: FixedItems) -> None:
    """Run a few items as in training, together and alone, and compare."""
    x = inputs_of(items.batch(torch.arange(min(2, items.count), device=job.device)))
    job.model.train()
    with undisturbed(job.device), torch.no_grad():
        same = _repeats(encoder, x)
    if not same:
        raise NotApplicable(
            f"the encoder ({job.encoder}) gives other outputs for the same items (dropout, or"
            " statistics of the batch): put it into evaluation mode"
        )


def _repeats(encoder: nn.Module, x: Tensor) -> bool:
    """Tell whether items are encoded as before, one of them alone too, and buffers stay."""
    before = [buffer.clone() for buffer in encoder.buffers()]
    first, second = encoder(x), encoder(x)
    same = all(torch.equal(a, b) for a, b in zip(before, encoder.buffers(), strict=True))
    if not (same and torch.equal(first, second)):
        return False
    try:
        return torch.allclose(first[:1], encoder(x[:1]), 1e-3, 1e-4)
    except FAILURES:  # batch norm, say, which wants several
        return False


def _check_losses(job: Job, cache: _Cache) -> None:
    """Raise `NotApplicable` where features in the place of inputs give another loss.

    What stands before the encoder, or sees inputs beside it, is then given features. They are
    compared with other weights too: a head of zeros hides what it is given.
    """
    batch = cache.items.batch(torch.arange(min(2, cache.items.count), device=job.device))
    passing = cache.during("pass", job.loss)
    for weights in (nullcontext(), varied(job.model)):
        with weights:
            try:
                plain = loss_without_training(job, batch, seed=0)
            except FAILURES:  # answers that the loss doesn't take
                continue
            with torch.no_grad(), evaluating(job.model), undisturbed(job.device):
                features = with_inputs(batch, cache.encoder(inputs_of(batch)))
            try:
                found = loss_without_training(job, features, passing, seed=0)
                said, near = f"{found:.4g}", abs(found - plain) <= CLOSE * max(abs(plain), CLOSE)
            except FAILURES as error:
                said, near = str(error).strip().partition("\n")[0] or type(error).__name__, False
        if not near and math.isfinite(plain):
            raise NotApplicable(
                f"the loss of two items is {plain:.4g} and, of what the encoder ({job.encoder}) "
                f"makes of them, {said}: it is not called once with what a batch holds, or the "
                "model needs more than its outputs"
            )


Given = ParamSpec("Given")
Made = TypeVar("Made")


@dataclass
class _Cache:
    """What the encoder gave; `mode` says what the encoder does when it is called."""

    encoder: nn.Module
    items: FixedItems
    in_file: bool
    at_once: int | None
    mode: Literal["run", "pass", "remember"] = "run"
    whole: Batch | None = None  # all training items, features in place of the inputs
    remembered: dict[bytes, Tensor] = field(default_factory=dict)
    made_of: list[nn.Parameter] = field(init=False)  # the encoder's weights when they were made
    held: _Held | None = None  # what its weights and buffers held then

    not_remembered: ClassVar[frozenset[str]] = frozenset({"made_of", "held"})

    def __post_init__(self) -> None:
        self.made_of = [*self.encoder.parameters()]

    def batches(self, progress: Progress) -> Iterator[Batch]:
        self._follow()
        for rows in self.items.rows(progress):
            if self.whole is None:
                self.whole = self._extract(self.at_once or len(rows), rows.device)
            yield _taken(self.whole, rows)
            self._check_still()

    def _follow(self) -> None:
        """Let go of features where the encoder has other weights since: pruned, factorised."""
        now = [*self.encoder.parameters()]
        others = [*map(id, now)] != [*map(id, self.made_of)]
        if others or (self.held is not None and self.held.changed()):
            self.made_of, self.whole, self.held = now, None, None
            self.remembered.clear()
        self.held = self.held or _Held(self.encoder)
        self._check_still()

    def _check_still(self) -> None:
        """Raise `NotApplicable` where the encoder is in training by now: thawed, or averaged."""
        assert self.held is not None
        thawed = any(p.requires_grad for p in self.made_of)
        if thawed and not getattr(self.encoder, "frozen", False):  # freeze-encoder holds it
            raise NotApplicable(
                "the encoder trains from some epoch on (the baseline thaws it): its outputs change,"
                " and features that are kept would hide that"
            )
        if self.held.changed():
            raise NotApplicable(
                "the encoder's weights or buffers change while the rest trains (an average of"
                " others, say): its outputs change too, and can't be kept"
            )

    def _extract(self, size: int, device: torch.device) -> Batch:
        """Return all items as one batch of features, and what the last pass is filled up with."""
        made, count = [], self.items.count
        for start in range(0, count, size):
            rows = torch.arange(start, start + size, device=device)
            batch = self.items.batch(rows % count)
            with torch.no_grad():
                made.append(with_inputs(batch, self.encoder(inputs_of(batch))))
        whole = joined(made)
        return with_inputs(whole, _mapped(inputs_of(whole))) if self.in_file else whole

    def call(self, run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        if self.mode != "remember":
            return x if self.mode == "pass" else run(x)
        content = x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        kind = f"{x.dtype}{tuple(x.shape)}".encode()
        key = hashlib.blake2b(kind + content.tobytes()).digest()
        if key not in self.remembered:
            self.remembered[key] = run(x)
        return self.remembered[key]

    def during(
        self, mode: Literal["pass", "remember"], old: Callable[Given, Made]
    ) -> Callable[Given, Made]:
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Made:
            self.mode = mode
            try:
                return old(*args, **kwargs)
            finally:
                self.mode = "run"

        return call


class _Held:
    """What a module's tensors hold: told by their versions and, where these differ, by a sum."""

    def __init__(self, module: nn.Module) -> None:
        self._tensors = [*module.parameters(), *module.buffers()]
        self._versions, self._sums = self._numbers(), self._added_up()

    def changed(self) -> bool:
        """Tell whether one holds other numbers; what was changed and put back is as it was."""
        if (now := self._numbers()) == self._versions:
            return False
        self._versions = now
        return self._added_up() != self._sums

    def _numbers(self) -> list[int]:
        return [tensor._version for tensor in self._tensors]

    def _added_up(self) -> list[int]:
        flat = (tensor.detach().contiguous().reshape(-1) for tensor in self._tensors)
        return [int(one.view(torch.uint8).sum(dtype=torch.int64)) for one in flat]


def _teachable(kind: type[nn.Module], cache: _Cache) -> type[nn.Module]:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return cache.call(lambda inputs: kind.forward(self, inputs), x)

    return type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})


def _taken(whole: Batch, rows: Tensor) -> Batch:
    return each_tensor([select_items(whole, rows)], lambda one: one[0].to(rows.device))


def _mapped(values: Tensor) -> Tensor:
    """Return a copy on the CPU in a mapped file, which goes when the process does."""
    with tempfile.NamedTemporaryFile(prefix="bench-features-") as file:
        mapped = torch.from_file(file.name, True, values.numel(), dtype=values.dtype)
    return mapped.view(values.shape).copy_(values)
