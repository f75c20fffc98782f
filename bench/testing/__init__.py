"""Check what every technique promises: for anybody's tests.

In the tests of a technique of one's own, with a baseline that it applies to, in small settings::

    import pytest
    from bench.testing import PROMISES, Case

    CASE = Case("my_model.py:MyModel", {"epochs": 1})

    @pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
    def test_my_technique(promise):
        promise(CASE, "my_technique.py:MyTechnique:strength=2")

A promise that is not kept raises `Broken`, an AssertionError that says what was promised and what
was found. A technique that does not apply raises `NotApplicable`; `refusal` asks first. All
promises at once: `keeps_its_promises`. A technique together with another one: `pair_works`. Nothing
here needs pytest. Promises are checked on one thread: with several, a busy machine may add the same
numbers up in another order.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from bench.batches import Batch
from bench.errors import Clash, NotApplicable
from bench.job import Job, Progress
from bench.model.copies import copied
from bench.random_state import undisturbed
from bench.recipes import assembly, registry
from bench.recipes.references import parse_technique
from bench.records.recipe import Recipe
from bench.technique import Effect
from bench.testing.case import (
    CPU,
    STEPS,
    CachedCase,
    Case,
    answers,
    effect_of,
    global_state,
    made_up_probe,
    plain_state,
    stepped,
)
from bench.trial.training import train

__all__ = [
    "CPU", "PROMISES", "STEPS", "Broken", "CachedCase", "Case", "Promise", "changes_something",
    "effect_of", "global_state", "has_a_card", "keeps_its_effect", "keeps_its_promises",
    "leaves_a_model_that_copies", "made_up_probe", "pair_works", "plain_state", "refusal",
    "repeats_itself", "stepped", "survives_export", "trains_to_the_end",
]  # fmt: skip
CLOSE = 5e-2
"""How far the first losses of a ROUNDING technique may be from the baseline's, relatively."""
CARD = ("What:", "Helps:", "Hurts:", "Effect:", "Source:")


Promise = Callable[[Case, str], None]


class Broken(AssertionError):  # noqa: N818 - reads as pytest shows it: "Broken: exact, but ..."
    """A promise that was not kept."""


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread, and on as many as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def refusal(case: Case, *techniques: str) -> str | None:
    """Return why techniques don't apply to a baseline, or not together; None where they do."""
    before = global_state()
    try:
        case.job(*techniques)
    except (Clash, NotApplicable) as reason:
        _hold_switches(before)
        said = str(reason)
        _require(len(said) > 10 and "\n" not in said, f"a refusal is a sentence, not {said!r}")
        return said
    return None


@_one_thread()
def repeats_itself(case: Case, technique: str) -> None:
    """Promise: the same recipe and seed give the same losses and weights, bit for bit."""
    first = case.steps(technique)
    again = case.steps_again(technique)
    differing = _differing(first.losses, again.losses)
    _require(first.losses == again.losses, f"two equal trainings gave the losses {differing}")
    _require(_equal(first.state, again.state), "two equal trainings gave different weights")


@_one_thread()
def keeps_its_effect(case: Case, technique: str) -> None:
    """Promise: EXACT is bit-equal to the baseline, ROUNDING near it, the others stay finite.

    Only EXACT is held to the baseline's own settings: another shape of batches draws other numbers.
    """
    effect = effect_of(technique)
    first = case.steps(technique)
    losses, state = first.losses, first.state
    _require(all(map(math.isfinite, losses)), f"the losses are not finite: {losses}")
    exact = effect is Effect.EXACT
    plain = case.plain_steps() if exact else case.plain_steps(technique)
    expected = plain.losses
    if effect is not Effect.MODEL:
        _require(state.keys() == plain.state.keys(), "the deployed model has other weights by name")
    if exact:
        _require(
            losses == expected, f"exact, but the losses differ: {_differing(losses, expected)}"
        )
        _require(_equal(state, plain.state), "exact, but the weights differ")
    if effect is Effect.ROUNDING:
        pairs = zip(losses[:5], expected[:5], strict=True)
        near = all(math.isclose(a, b, rel_tol=CLOSE) for a, b in pairs)
        _require(near, f"rounding, but the losses are {losses[:5]} instead of {expected[:5]}")


@_one_thread()
def trains_to_the_end(case: Case, *techniques: str) -> None:
    """Promise: a whole training has finite losses and a metric; what it deploys answers alike.

    Torch's switches are as they were then. What is LEARNING learns: the baseline's own loss of what
    it trained on is lower than before. One technique alone deploys just what the baseline does
    where it is EXACT, and makes a difference to it, or to the losses, where it is LEARNING or
    MODEL: what waits for something, as early stopping does, is to be asked for so that it happens.
    """
    before = global_state()
    job = case.job(*techniques)
    result = train(job)
    _hold_switches(before)
    if all(effect_of(technique) is Effect.LEARNING for technique in techniques):
        fresh = case.plain_job(*techniques)
        untrained, after = _plain_losses(fresh, fresh.model, result.model)
        _require(after < untrained, f"training took the loss from {untrained:.4g} to {after:.4g}")
    _require(all(map(math.isfinite, result.losses)), f"the losses are not finite: {result.losses}")
    metric = registry.load_baseline(case.baseline).target.metric
    found = result.evaluations[-1].values.get(metric)
    _require(found is not None, f"after training {metric} is not a finite number")
    one, other = (answers(result.model, job) for _ in range(2))
    _require(_same(one, other), "the deployed model answers the same question in two ways")
    if len(techniques) == 1:
        _hold_difference(case, effect_of(techniques[0]), result.losses, one)


@_one_thread()
def survives_export(case: Case, technique: str) -> None:
    """Promise: a recipe that was written and read again is the same, and trains the same."""
    recipe, places = case.recipe(technique)
    again = Recipe.model_validate_json(recipe.model_dump_json())
    _require(again.id == recipe.id, f"the recipe {recipe.id} has the id {again.id} when read again")
    used, read = (assembly.techniques_of(one, places) for one in (recipe, again))
    _require(used == read, f"{used} became {read} when read again")
    losses = case.steps_again(technique).losses
    expected = case.steps(technique).losses
    _require(losses == expected, f"read again, it trains otherwise: {_differing(losses, expected)}")


@_one_thread()
def leaves_a_model_that_copies(case: Case, technique: str) -> None:
    """Promise: a deep copy of the model in training answers as the model does."""
    job = case.steps(technique).job
    model = job.snapshot(job.model)
    _require(
        _same(answers(copied(model), job), answers(model, job)),
        "a copy of the model answers otherwise than the model",
    )


@_one_thread()
def changes_something(case: Case, technique: str) -> None:
    """Promise: where it applies, it replaces a part of the job or a setting."""
    plain, _ = case.recipe()
    recipe, _ = case.recipe(technique)
    changed = recipe.settings != plain.settings or case.steps(technique).job.taken
    _require(bool(changed), f"{technique} leaves the job and the settings as they are")


def has_a_card(technique: str) -> None:
    """Promise of those that come with `bench`: a card, and settings described, with defaults."""
    kind = registry.load_technique(parse_technique(technique)[0])
    card = inspect.cleandoc(sys.modules[kind.__module__].__doc__ or "")
    places = [card.find(f"\n{word}") for word in CARD]
    whole = -1 not in places and places == sorted(places)
    _require(whole, f"the module's docstring is to have the lines {', '.join(CARD)} in this order")
    said = card.split("Effect:")[1].strip() if whole else ""
    _require(said.startswith(str(kind.effect)), f"the card says the effect {said[:20]!r}")
    for name, setting in kind.model_fields.items():
        _require(bool(setting.description), f"the setting {name} has no description")
        _require(not setting.is_required(), f"the setting {name} has no default")


@_one_thread()
def pair_works(case: Case, one: str, other: str) -> None:
    """Promise: two techniques train together, or one sentence says why not.

    To the end where one of them deploys another model, else for a few steps.
    """
    if refusal(case, one, other) is not None:
        return
    if Effect.MODEL in (effect_of(one), effect_of(other)):
        trains_to_the_end(case, one, other)
        return
    losses, _ = stepped(case.job(one, other), 6)
    _require(all(map(math.isfinite, losses)), f"the losses are not finite: {losses}")


PROMISES: tuple[Promise, ...] = (
    repeats_itself, keeps_its_effect, trains_to_the_end, survives_export,
    leaves_a_model_that_copies, changes_something,
)  # fmt: skip


def keeps_its_promises(case: Case, technique: str) -> None:
    """Hold a technique to all promises, and name each that is broken.

    With a `CachedCase`, what several promises look at is trained once.
    """
    broken = []
    for promise in PROMISES:
        try:
            promise(case, technique)
        except Broken as found:
            broken.append(f"{promise.__name__}: {found}")
    _require(not broken, "; ".join(broken))


def _hold_difference(case: Case, effect: Effect, losses: list[float], found: object) -> None:
    """Compare a whole training's losses and answers with those of the baseline."""
    if effect is Effect.ROUNDING:
        return
    plain = case.plain_whole()
    same = losses == plain.losses and _same(found, plain.answers)
    if effect is Effect.EXACT:
        _require(same, "exact, but a whole training deploys another model")
    else:
        _require(not same, f"{effect}, but the losses and what is deployed are the baseline's")


def _plain_losses(job: Job, *models: nn.Module) -> list[float]:
    """Return each model's mean loss of the same few training batches, in a plain job."""
    with torch.no_grad(), undisturbed(job.device):
        torch.manual_seed(0)
        progress = Progress(job.epochs, epoch_steps=job.epoch_steps)
        batches = list(itertools.islice(job.batches(progress), 8))
        return [_mean_loss(job, copied(model).train(), batches) for model in models]


def _mean_loss(job: Job, model: nn.Module, batches: Sequence[Batch]) -> float:
    torch.manual_seed(0)
    return fmean(float(job.loss(model, batch)) for batch in batches)


def _require(kept: bool, otherwise: str) -> None:
    if not kept:
        raise Broken(otherwise)


def _hold_switches(before: dict[str, object]) -> None:
    now = global_state()
    changed = {key: (before[key], now[key]) for key in now if now[key] != before[key]}
    _require(not changed, f"switches of torch were left changed (before, after): {changed}")


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def _same(one: object, other: object) -> bool:
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=True)
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


def _differing(losses: Sequence[float], expected: Sequence[float]) -> str:
    """Return the first loss that differs."""
    for step, (one, other) in enumerate(zip(losses, expected, strict=False), 1):
        if one != other:
            return f"{one!r} instead of {other!r} at step {step}"
    return f"of {len(losses)} steps instead of {len(expected)}"
