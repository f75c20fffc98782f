"""A recipe's identity, for any settings that JSON can hold."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench.records.claim import read_exported
from bench.records.recipe import LOCAL_SETTINGS, Recipe, Use, file_in
from tests.records import claim, exported

texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
names = texts.filter(lambda name: name not in LOCAL_SETTINGS)
settings_of = st.dictionaries(names, values, max_size=6)
entries = texts.filter(lambda name: file_in(name) is None)
"""What names no file: a recipe has the hash of each file that it names."""
uses = st.lists(st.builds(Use, name=entries, settings=settings_of), max_size=3).map(tuple)
recipes = st.builds(
    Recipe, baseline=entries, settings=settings_of, techniques=uses
) | st.builds(
    Recipe, baseline=st.just("mine.py:Mine"), settings=settings_of, techniques=uses,
    files=st.fixed_dictionaries({"mine.py": texts}),
)  # fmt: skip


def shuffled(value: Any, random: Any) -> Any:
    """Return the same JSON with the keys of every object in another order."""
    if isinstance(value, dict):
        pairs = [(key, shuffled(inner, random)) for key, inner in value.items()]
        random.shuffle(pairs)
        return dict(pairs)
    return [shuffled(inner, random) for inner in value] if isinstance(value, list) else value


@given(recipes)
def test_writing_and_reading_a_recipe_keeps_its_id(recipe: Recipe) -> None:
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert again.id == recipe.id


@given(recipes)
def test_python_json_keeps_the_id_too(recipe: Recipe) -> None:
    content = json.loads(json.dumps(recipe.model_dump(mode="json")))
    assert Recipe.model_validate(content).id == recipe.id


@given(recipes, st.randoms())
def test_the_order_of_keys_does_not_change_the_id(recipe: Recipe, random: Any) -> None:
    content = shuffled(recipe.model_dump(mode="json"), random)
    assert Recipe.model_validate(content).id == recipe.id


@given(recipes, names, values, values)
def test_changing_a_setting_changes_the_id(recipe: Recipe, name: str, one: Any, other: Any) -> None:
    ids = [
        recipe.model_copy(update={"settings": {**recipe.settings, name: value}}).id
        for value in (one, other)
    ]
    assert (ids[0] == ids[1]) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


@given(recipes, names, values)
def test_a_setting_more_changes_the_id(recipe: Recipe, name: str, value: Any) -> None:
    if name not in recipe.settings:
        more = recipe.model_copy(update={"settings": {**recipe.settings, name: value}})
        assert more.id != recipe.id


@given(recipes, texts)
def test_where_data_lies_does_not_change_the_id(recipe: Recipe, place: str) -> None:
    moved = recipe.model_copy(update={"settings": {**recipe.settings, "data_dir": place}})
    assert moved.id == recipe.id


@given(recipes)
def test_exporting_and_importing_keeps_the_id(recipe: Recipe) -> None:
    made = exported(recipe=recipe, recipe_id=recipe.id, claim=claim())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.json"
        path.write_text(made.model_dump_json(), encoding="utf-8")
        assert read_exported(path).recipe.id == recipe.id
