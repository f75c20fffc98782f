"""What every technique promises, on every baseline: it does what it says, or says why it can't."""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._inductor import config as inductor_config

from bench import assembly, registry
from bench.errors import Clash, NotApplicable
from bench.recipe import read_exported
from bench.technique import Effect
from bench.training import train
from tests.contract.cases import (
    CPU,
    SLOW,
    TECHNIQUES,
    Case,
    effect_of,
    global_state,
    objective,
    stepped,
)
from tests.records import claim, exported

CARD = ("What:", "Helps:", "Hurts:", "Effect:", "Source:")


def marked(*names: str) -> object:
    """Return a parameter that is slow where a technique is."""
    slow = SLOW & set(names)
    return pytest.param(*names, marks=[pytest.mark.slow] if slow else [], id="+".join(names))


each = pytest.mark.parametrize("name", [marked(name) for name in TECHNIQUES])


@contextlib.contextmanager
def same_draws() -> Iterator[None]:
    """Let what is compiled draw random numbers as the plain model does; forget it afterwards."""
    torch.compiler.reset()
    with inductor_config.patch(fallback_random=True):
        yield
    torch.compiler.reset()


def refusal(case: Case, *names: str) -> str | None:
    """Return why techniques don't apply to a baseline, or not together; None where they do."""
    try:
        case.job(*names)
    except (Clash, NotApplicable) as reason:
        return str(reason)
    return None


def applied(case: Case, name: str) -> None:
    """Skip, saying why, where a technique does not apply; its reason must be a sentence."""
    if (reason := refusal(case, name)) is not None:
        assert len(reason) > 10
        assert "\n" not in reason
        pytest.skip(f"not applicable: {reason}")


@each
def test_the_same_job_gives_the_same_losses(case: Case, name: str) -> None:
    applied(case, name)
    first, state = stepped(case.job(name))
    second, again = stepped(case.job(name))
    assert first == second
    assert all(torch.equal(state[key], again[key]) for key in state)


@each
def test_a_technique_does_what_its_effect_says(case: Case, name: str) -> None:
    """A compiled model draws other random numbers; here it draws those of the plain one.

    Only EXACT is held to the baseline's own settings: another shape of batches draws others too.
    """
    applied(case, name)
    effect = effect_of(name)
    with same_draws():
        losses, state = stepped(case.job(name))
    exact = effect is Effect.EXACT
    plain_losses, plain_state = stepped(case.job() if exact else case.plain_job(name))
    assert all(map(math.isfinite, losses))
    assert state.keys() == plain_state.keys()
    if exact:
        assert losses == plain_losses
        assert all(torch.equal(state[key], plain_state[key]) for key in state)
    if effect is Effect.ROUNDING:
        assert losses[:5] == pytest.approx(plain_losses[:5], rel=5e-2)


@each
def test_a_technique_trains_to_the_end(case: Case, name: str) -> None:
    applied(case, name)
    job = case.job(name)
    untrained = objective(case.job(name))
    result = train(job)
    assert all(map(math.isfinite, result.losses))
    if effect_of(name) is Effect.LEARNING:
        assert objective(replace(case.job(name), model=result.model)) < untrained
    target = registry.load_baseline(case.reference).target.metric
    assert 0 <= result.evaluations[-1].values[target] <= 1


@each
def test_a_technique_leaves_the_switches_of_torch_as_they_were(case: Case, name: str) -> None:
    before = global_state()
    with contextlib.suppress(NotApplicable):
        train(case.job(name))
    assert global_state() == before


@each
def test_a_recipe_keeps_its_id_when_exported_and_read_again(
    case: Case, name: str, tmp_path: Path
) -> None:
    applied(case, name)
    recipe, places = case.recipe(name)
    made = exported(recipe=recipe, recipe_id=recipe.id, claim=claim())
    path = tmp_path / "optimized.json"
    path.write_text(made.model_dump_json())
    again = read_exported(path).recipe
    assert again.id == recipe.id
    assert assembly.techniques_of(again, places) == assembly.techniques_of(recipe, places)


@each
def test_a_recipe_that_was_read_again_trains_the_same(
    case: Case, name: str, tmp_path: Path
) -> None:
    applied(case, name)
    recipe, places = case.recipe(name)
    path = tmp_path / "optimized.json"
    path.write_text(exported(recipe=recipe, recipe_id=recipe.id).model_dump_json())
    again = assembly.build(read_exported(path).recipe, places, CPU, seed=0)
    assert stepped(again, 5)[0] == stepped(case.job(name), 5)[0]


@each
def test_a_model_can_still_be_copied(case: Case, name: str) -> None:
    applied(case, name)
    job = case.job(name)
    stepped(job, 1)
    clone = copy.deepcopy(job.snapshot(job.model)).eval()
    with torch.no_grad():
        found, expected = (m(*job.sample(2)) for m in (clone, job.snapshot(job.model).eval()))
    assert torch.equal(found, expected)


@each
def test_a_technique_changes_something(case: Case, name: str) -> None:
    applied(case, name)
    plain, _ = case.recipe()
    recipe, _ = case.recipe(name)
    assert case.job(name).taken or recipe.settings != plain.settings


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_technique_has_a_method_card(name: str) -> None:
    kind = registry.load_technique(name)
    card = sys.modules[kind.__module__].__doc__ or ""
    places = [card.find(f"\n{word}") for word in CARD]
    assert -1 not in places
    assert places == sorted(places)
    assert card.split("Effect:")[1].strip().startswith(str(kind.effect))


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_technique_is_one_file_of_at_most_150_lines(name: str) -> None:
    file = Path(inspect.getfile(registry.load_technique(name)))
    assert len(file.read_text().splitlines()) <= 150
    assert "from optimizers" not in file.read_text()


@pytest.mark.parametrize("name", TECHNIQUES)
def test_every_setting_of_a_technique_is_described_and_has_a_default(name: str) -> None:
    kind = registry.load_technique(name)
    assert kind.name == name
    for field in kind.model_fields.values():
        assert field.description
        assert not field.is_required()
