"""The promises, held to techniques in files: one that keeps them all, and some that break one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import NotApplicable
from bench.job import Job
from bench.recipes import assembly
from bench.records.recipe import Recipe
from bench.testing import (
    PROMISES,
    Broken,
    CachedCase,
    Case,
    Promise,
    changes_something,
    has_a_card,
    keeps_its_effect,
    keeps_its_promises,
    leaves_a_model_that_copies,
    pair_works,
    refusal,
    repeats_itself,
    trains_to_the_end,
)

HERE = Path(__file__).resolve().parent
TINY = Case(f"{HERE.parent / 'cli' / 'tiny_model.py'}:Tiny", {"epochs": 2})
CLIP = f"{HERE / 'clip.py'}:ClipGradients"
FILE = '''"""A technique: {what}."""

import torch
from bench.technique import Effect, Stage, Technique


class Mine(Technique):
    name = "mine"
    stage = Stage.LOOP
    effect = Effect.{effect}

    def apply(self, job):
        {code}
'''


def technique(folder: Path, code: str, effect: str = "EXACT") -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "mine.py"
    path.write_text(FILE.format(what=code.replace('"', "'"), effect=effect, code=code))
    return f"{path}:Mine"


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_technique_of_a_file_is_held_to_every_promise(promise: Promise) -> None:
    promise(TINY, f"{CLIP}:norm=0.1")


def test_all_promises_are_asked_at_once_and_each_broken_one_is_named(tmp_path: Path) -> None:
    keeps_its_promises(TINY, f"{CLIP}:norm=0.1")
    code = (
        "torch.use_deterministic_algorithms(True)\n"
        '        return job.wrap("loss", lambda old: lambda m, b: 1.1 * old(m, b), by="mine")'
    )
    told = r"^keeps_its_effect: exact, but .*; trains_to_the_end: exact, but a whole training"
    with pytest.raises(Broken, match=told):
        keeps_its_promises(TINY, technique(tmp_path, code))
    torch.use_deterministic_algorithms(False)


def test_a_cached_case_trains_once_what_promises_share(monkeypatch: pytest.MonkeyPatch) -> None:
    cached = CachedCase(TINY.baseline, TINY.settings)
    built: list[tuple[str, ...]] = []
    build = assembly.build

    def noted(recipe: Recipe, *rest: Any, **more: Any) -> Job:
        built.append(tuple(use.name for use in recipe.techniques))
        return build(recipe, *rest, **more)

    monkeypatch.setattr(assembly, "build", noted)
    for clip in (f"{CLIP}:norm=0.1", f"{CLIP}:norm=0.2"):
        built.clear()
        keeps_its_promises(cached, clip)
        assert len([names for names in built if names]) == 3
    assert built.count(()) == 1  # what it learns is held to a fresh baseline, before and after


def test_its_settings_are_taken_from_its_text() -> None:
    recipe, places = TINY.recipe(f"{CLIP}:norm=0.1")
    assert recipe.techniques[0].settings == {"norm": 0.1}
    assert set(places) == {"clip.py", "tiny_model.py"}


def test_a_technique_that_is_not_exact_is_found_out(tmp_path: Path) -> None:
    code = 'return job.wrap("loss", lambda old: lambda m, b: 1.001 * old(m, b), by="mine")'
    with pytest.raises(Broken, match=r"exact, but the losses differ: .* at step 1"):
        keeps_its_effect(TINY, technique(tmp_path, code))
    keeps_its_effect(TINY, technique(tmp_path, code, "ROUNDING"))


def test_arithmetic_that_is_far_off_is_no_rounding(tmp_path: Path) -> None:
    code = 'return job.wrap("loss", lambda old: lambda m, b: 1.1 * old(m, b), by="mine")'
    with pytest.raises(Broken, match="rounding, but the losses are"):
        keeps_its_effect(TINY, technique(tmp_path, code, "ROUNDING"))


def test_chance_that_no_seed_rules_is_found_out(tmp_path: Path) -> None:
    code = (
        "import time; noise = 1 + time.perf_counter_ns() % 10**9 / 10**9\n"
        '        return job.wrap("loss", lambda old: lambda m, b: noise * old(m, b), by="mine")'
    )
    with pytest.raises(Broken, match="two equal trainings gave the losses"):
        repeats_itself(TINY, technique(tmp_path, code, "LEARNING"))


def test_a_switch_that_stays_turned_is_found_out(tmp_path: Path) -> None:
    code = 'torch.use_deterministic_algorithms(True); return job.claim("stop", job.stop, by="mine")'
    with pytest.raises(Broken, match=r"left changed .*'deterministic': \(False, True\)"):
        trains_to_the_end(TINY, technique(tmp_path, code))
    torch.use_deterministic_algorithms(False)


def test_a_technique_that_does_nothing_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="leaves the job and the settings as they are"):
        changes_something(TINY, technique(tmp_path, "return job"))


def test_a_file_without_a_card_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="the lines What:, Helps:, Hurts:, Effect:, Source:"):
        has_a_card(technique(tmp_path, "return job"))


def test_a_model_whose_copy_answers_otherwise_is_found_out(tmp_path: Path) -> None:
    code = (
        "weight = job.model[0].weight\n"
        "        job.model[0].forward = lambda x: x @ weight.T\n"
        "        job.model[0].__deepcopy__ = lambda memo: torch.nn.Linear(8, 32)\n"
        '        return job.wrap("model", lambda model: model, by="mine")'
    )
    with pytest.raises(Broken, match="a copy of the model answers otherwise"):
        leaves_a_model_that_copies(TINY, technique(tmp_path, code))


def test_what_does_not_apply_says_why(tmp_path: Path) -> None:
    code = (
        "from bench.errors import NotApplicable\n"
        '        raise NotApplicable("the model is too small for it")'
    )
    mine = technique(tmp_path, code)
    assert refusal(TINY, mine) == "the model is too small for it"
    turned = code.replace("        raise", "        torch.set_num_threads(7); raise")
    threads = torch.get_num_threads()
    with pytest.raises(Broken, match="left changed"):
        refusal(TINY, technique(tmp_path / "turned", turned))
    torch.set_num_threads(threads)
    with pytest.raises(NotApplicable):
        repeats_itself(TINY, mine)
    pair_works(TINY, mine, CLIP)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_promise_is_checked_on_one_thread(
    promise: Promise, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    promise(TINY, f"{CLIP}:norm=0.1")
    assert asked == [1, 5]


def test_a_refusal_without_a_reason_is_found_out(tmp_path: Path) -> None:
    code = 'from bench.errors import NotApplicable; raise NotApplicable("no")'
    with pytest.raises(Broken, match="a refusal is a sentence, not 'no'"):
        refusal(TINY, technique(tmp_path, code))


def test_two_techniques_of_one_name_can_t_be_together() -> None:
    reason = refusal(TINY, CLIP, f"{CLIP}:norm=0.1")
    assert reason == "clip-gradients is there twice; give it once"
