"""What a user types, read and written in any way."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.batches import chunk_items, first_size
from bench.cli import parse
from bench.cli.argv import SEVERAL, spread
from bench.errors import BenchError
from bench.recipes.references import parse_assignments, parse_technique

keys = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8)
words = st.text(string.ascii_letters + string.digits + ".-_/", min_size=1, max_size=8).filter(
    lambda word: word not in ("null", "none", "None")
)
settings_of = st.dictionaries(keys, words, max_size=5)
anything = st.text(max_size=30)


def refusal(read: Callable[[], object]) -> str | None:
    """Return what a user is told who typed something wrong; None where it could be read."""
    try:
        read()
    except BenchError as error:
        return str(error)
    return None


@given(settings_of)
def test_assignments_are_read_as_they_were_written(values: dict[str, str]) -> None:
    assert parse_assignments([f"{k}={v}" for k, v in values.items()]) == values


@given(keys, settings_of)
def test_a_technique_is_read_as_it_was_written(name: str, values: dict[str, str]) -> None:
    text = f"{name}:{','.join(f'{k}={v}' for k, v in values.items())}"
    assert parse_technique(text) == (name, values)


@given(keys, keys, settings_of)
def test_a_technique_of_a_file_is_read_as_it_was_written(
    stem: str, kind: str, values: dict[str, str]
) -> None:
    reference = f"dir/{stem}.py:{kind}"
    text = f"{reference}:{','.join(f'{k}={v}' for k, v in values.items())}"
    assert parse_technique(text) == (reference, values)


@given(st.floats(0.1, 1e6), st.sampled_from([("s", 1), ("m", 60), ("h", 3600)]))
def test_a_duration_is_read_as_it_was_written(value: float, unit: tuple[str, int]) -> None:
    assert parse.parse_duration(f"{value:f}{unit[0]}") == pytest.approx(value * unit[1], abs=4e-3)


@pytest.mark.parametrize("parse", [parse.parse_duration, parse.parse_repeats, parse_technique])
@given(text=anything)
def test_any_text_is_read_or_refused_in_a_line(parse: Any, text: str) -> None:
    assert refusal(lambda: parse(text)) != ""


@given(st.lists(anything, max_size=3))
def test_any_assignments_are_read_or_refused(texts: list[str]) -> None:
    try:
        found = parse_assignments(texts)
    except BenchError:
        return
    assert len(found) == len(texts)


KNOWN = {*SEVERAL, "--quiet", "--epochs"}
arguments = st.lists(
    st.sampled_from([*sorted(SEVERAL), "--quiet", "--epochs", "-h", "--test=a"]) | words,
    max_size=12,
)


@given(arguments)
def test_spreading_loses_no_argument(typed: list[str]) -> None:
    message = refusal(lambda: list(spread(typed, frozenset(), KNOWN)))
    if message is not None:
        refused = ("needs at least one value", "may be meant for the script, or be bench's own")
        assert any(why in message for why in refused)
        return
    read = list(spread(typed, frozenset(), KNOWN))
    assert [a for a in read if a not in SEVERAL] == [a for a in typed if a not in SEVERAL]


@given(arguments)
def test_spreading_what_was_spread_changes_nothing(typed: list[str]) -> None:
    try:
        read = list(spread(typed, frozenset(), KNOWN))
    except BenchError:
        return
    assert list(spread(read, frozenset(), KNOWN)) == read


shapes = st.lists(st.integers(1, 3), max_size=2).map(tuple)


def tensors(items: int) -> st.SearchStrategy[Tensor]:
    return shapes.map(lambda shape: torch.randn(items, *shape))


def batches(items: int) -> st.SearchStrategy[Any]:
    leaf = tensors(items)
    return st.recursive(
        leaf,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3)
            | st.lists(inner, min_size=1, max_size=3).map(tuple)
            | st.dictionaries(keys, inner, min_size=1, max_size=3)
        ),
        max_leaves=5,
    )


def joined(parts: list[Any]) -> Any:
    """Put microbatches together again."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(parts)
    if isinstance(first, dict):
        return {key: joined([part[key] for part in parts]) for key in first}
    return type(first)(joined(list(column)) for column in zip(*parts, strict=True))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and all(same(a, b) for a, b in zip(one, other, strict=True))


@given(st.data(), st.integers(1, 9), st.integers(1, 5))
def test_microbatches_put_together_are_the_batch(
    data: st.DataObject, items: int, parts: int
) -> None:
    batch = data.draw(batches(items))
    split = chunk_items(batch, parts)
    assert 1 <= len(split) <= parts
    assert sum(map(first_size, split)) == items
    assert same(joined(split), batch)
