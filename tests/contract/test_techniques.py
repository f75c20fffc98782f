"""What every technique promises, on every baseline: it does what it says, or says why it can't."""

from __future__ import annotations

import functools
import inspect
import json
from pathlib import Path

import pytest

from bench.recipes import assembly, registry
from bench.records.claim import read_exported
from bench.testing import PROMISES, Promise, has_a_card, refusal
from tests.benchmarks.bench_techniques import NETS, NOT_HERE, ROWS
from tests.conftest import real
from tests.contract.cases import PICTURES, S4_FROZEN, SLOW, TECHNIQUES, Case
from tests.contract.child import in_child
from tests.records import exported

EXTRA = (PICTURES, S4_FROZEN)
"""Baselines that are here for what few techniques need."""
AT_ONCE = {"early-stopping": "early-stopping:patience=1,every=1,min_delta=9"}
"""How to ask for what waits, so that a short training sees it."""

NATIVE = {"channels-last"}
"""What calls kernels that were seen to end a process (oneDNN's on AVX2): tried in a child."""


def marked(*names: str) -> object:
    """Return a parameter that is slow where a technique is."""
    slow = SLOW & set(names)
    return pytest.param(*names, marks=[pytest.mark.slow] if slow else [], id="+".join(names))


each = pytest.mark.parametrize("name", [marked(name) for name in TECHNIQUES])


@functools.cache
def refused(baseline: str, settings: str, name: str) -> str | None:
    """Return why a technique does not apply; each is asked once."""
    return refusal(Case(baseline, json.loads(settings)), name)


def applied(case: Case, name: str) -> None:
    """Skip, saying why, where a technique does not apply."""
    if name in SLOW and case in EXTRA:
        pytest.skip("what takes long is tried on the registered baselines, the template, a net")
    if (reason := refused(case.baseline, json.dumps(dict(case.settings)), name)) is not None:
        pytest.skip(f"not applicable: {reason}")


@each
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_technique_keeps_its_promises(case: Case, name: str, promise: Promise) -> None:
    applied(case, name)
    if name in NATIVE:
        in_child(lambda: promise(case, name))
    else:
        promise(case, AT_ONCE.get(name, name))


@each
def test_an_exported_recipe_makes_the_same_techniques(
    case: Case, name: str, tmp_path: Path
) -> None:
    applied(case, name)
    recipe, places = case.recipe(name)
    path = tmp_path / "optimized.json"
    path.write_text(exported(recipe=recipe, recipe_id=recipe.id).model_dump_json())
    again = read_exported(path).recipe
    assert again.id == recipe.id
    assert assembly.techniques_of(again, places) == assembly.techniques_of(recipe, places)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_technique_has_a_method_card(name: str) -> None:
    assert registry.load_technique(name).name == name
    has_a_card(name)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_technique_is_one_file_of_at_most_150_lines(name: str) -> None:
    file = Path(inspect.getfile(registry.load_technique(name)))
    assert len(file.read_text().splitlines()) <= 150
    assert "from optimizers" not in file.read_text()


def test_every_technique_has_a_benchmark_row_or_needs_a_gpu() -> None:
    used = {text.partition(":")[0] for row in ROWS.values() for text in row.techniques}
    assert used | NOT_HERE == set(TECHNIQUES)
    assert not used & NOT_HERE


@pytest.mark.parametrize("row", [name for name, row in ROWS.items() if str(NETS) in row.baseline])
def test_what_a_row_shows_applies_there(row: str) -> None:
    real("xray")
    case = Case(ROWS[row].baseline, {"train_items": 64})
    refusals = {name: refusal(case, name) for name in ROWS[row].techniques}
    assert refusals == dict.fromkeys(refusals)
