"""The range of a setting that a search draws from, and what the search's arms are called."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from bench.records.schema import Number, Record, Text, Whole

TUNED = "baseline#tuned"
"""The arm of the baseline in settings that a search found."""
TRY = "try#"
"""Begins the names of what a search tries, with a number."""
Value = bool | Whole | Number | Text | None
"""Of a setting."""


class Range(Record):
    """Values to choose among, or all numbers between two: whole ones, where both ends are."""

    values: tuple[Value, ...] = ()
    low: Whole | Number | None = None
    high: Whole | Number | None = None
    log: bool = False
    """Whether it is the orders of magnitude that are drawn evenly."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.low is None) != (self.high is None) or bool(self.values) == (self.low is not None):
            raise ValueError("give values to choose among, or low and high")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low={self.low} is not below high={self.high}")
        if self.log and not (self.low or 0) > 0:
            raise ValueError("with log, low must be above 0")
        return self

    @property
    def whole(self) -> bool:
        """Tell whether whole numbers alone lie between its ends."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: object) -> bool:
        """Tell whether a value is in it."""
        if self.values:
            return value in self.values
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]  # both are there

    def beside(self, value: Value) -> Range:
        """Return the range with a value among its values, where it is one of values."""
        if not self.values or value in self.values:
            return self
        return self.model_copy(update={"values": (*self.values, value)})
