"""What settings may be searched over: the ranges that baselines and techniques name for them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from bench.baseline import Baseline, marked
from bench.errors import BenchError
from bench.recipes.registry import make_settings
from bench.records.ranges import Range
from bench.records.schema import first_problem

MARK = "range"


def ranges_of(kind: type[BaseModel], whose: str) -> dict[str, Range]:
    """Return the ranges that a class of settings names, by setting.

    Raises `BenchError`, naming `whose` they are, for a mark that is no range.
    """
    return {name: _range(mark, f"{whose}: {name}") for name, mark in marked(kind, MARK).items()}


def searched(baseline: Baseline, settings: BaseModel) -> dict[str, Range]:
    """Return the ranges of a baseline's settings, their present values among those to choose from.

    Raises `BenchError` where it names none, or a value that the settings refuse.
    """
    own = settings.model_dump(mode="json")
    ranges = ranges_of(baseline.settings, f"baseline {baseline.name}")
    found = {name: one.beside(own[name]) for name, one in ranges.items()}
    if not found:
        raise BenchError(
            f"baseline {baseline.name} names no ranges for its settings, so there is nothing to "
            'search: mark some, as in Field(1e-3, json_schema_extra={"range": [1e-4, 1e-3]})'
        )
    for name, one in found.items():
        for value in one.values or (one.low, one.high):
            make_settings(baseline, {**own, name: value})
    return found


def _range(mark: object, where: str) -> Range:
    given = mark if isinstance(mark, Mapping) else {"values": mark}
    try:
        return Range.model_validate(given)
    except ValidationError as error:
        raise BenchError(f"{where} has the range {mark!r}: {first_problem(error)}") from None
