"""Find the metric in what a script writes, or is told by `bench.report`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import SupportsFloat

from bench.errors import BenchError

UNSIGNED = r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
NUMBER = rf"(?:(?<![\w)])[-+])?{UNSIGNED}"
WITH_COMMAS = rf"(?:(?<![\w)])[-+])?(?:\d+(?:,\d+)+(?:\.\d+)?|{UNSIGNED})"
THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
NO_NUMBER = r"[-+]?(?:[nN][aA][nN]|[iI][nN][fF](?:inity)?)\b"
COMMAS = "let its group take thousands, ([\\d.,]+), or end the pattern with what follows the number"
REMEDY = "let its group take whole numbers, with their signs: ([-+.\\deE]+)"


@dataclass
class Reported:
    """What a script has reported, the last value of each name."""

    values: dict[str, float] = field(default_factory=dict)

    def __call__(self, **metrics: SupportsFloat) -> None:
        """Take values, as `bench.report` does."""
        self.values |= {name: float(value) for name, value in metrics.items()}


def found_in(log: Path, pattern: str) -> float:
    """Return the last number in a log that a pattern's group matches; NaN where that stands last.

    Raises `BenchError` where it never matches, or matches no number, or a part of one: ``1`` of
    ``1e-05``.
    """
    text = log.read_bytes().decode("utf-8", errors="replace")
    last = max(re.finditer(pattern, text), key=lambda match: match.end(), default=None)
    left_out = _left_out(text[last.end() if last else 0 :], pattern)
    if left_out and not math.isfinite(float(left_out)):
        return float(left_out)
    if left_out:
        raise BenchError(f"--metric '{pattern}' does not match {left_out!r}; {REMEDY}")
    if last is None:
        shown = text.strip().splitlines()[-1:] or ["nothing"]
        raise BenchError(
            f"--metric '{pattern}' never matches what the script writes; its last line is: "
            f"{shown[0][:120]}"
        )
    return _whole(last, pattern)


def _whole(found: re.Match[str], pattern: str) -> float:
    """Return the number that a match holds; raise `BenchError` where it stands in a larger one.

    What a comma parts is one number (``1,234.5``), unless the pattern goes on after its group.
    """
    said, (begin, end) = found[1] or "", found.span(1)
    value = _number(said)
    if value is None:
        raise BenchError(f"--metric '{pattern}' matches {said!r}, which is no number")
    line = found.string.rfind("\n", 0, begin) + 1
    number = NUMBER if found.end() > end else WITH_COMMAS
    for whole in re.compile(number).finditer(found.string, line):
        if whole.end() >= end or whole.end() > begin:
            if whole.start() < end and _number(whole[0]) not in (value, -value * _signed(pattern)):
                remedy = COMMAS if "," in whole[0] else REMEDY
                raise BenchError(f"--metric '{pattern}' matches {said!r} of {whole[0]!r}; {remedy}")
            break
    return value


def _number(text: str) -> float | None:
    """Return a number, whose thousands commas may part; None where it is none."""
    try:
        return float(text.replace(",", "") if THOUSANDS.fullmatch(text) else text)
    except ValueError:
        return None


def _left_out(text: str, pattern: str) -> str:
    """Return what stands last in a pattern's place, and is no number, or has a sign before it."""
    if not (parts := _around_group(pattern)):
        return ""
    try:
        found = re.findall(f"{parts[0]}({NO_NUMBER}|[-+]{UNSIGNED}){parts[1]}", text)
    except re.error:  # the group is a part of something else
        return ""
    return str(found[-1]) if found else ""


def _around_group(pattern: str) -> tuple[str, str] | None:
    """Return what stands in a pattern before and after its group; None where that can't be told."""
    depth, begin, inside = 0, None, False
    for match in re.finditer(r"\\.|[][()]", pattern):
        sign, at = match[0], match.start()
        inside = (inside or sign == "[") and sign != "]"
        if inside or sign not in "()":
            continue
        depth += 1 if sign == "(" else -1
        if sign == "(" and begin is None and pattern[at + 1 : at + 2] != "?":
            begin, level = at, depth
        elif sign == ")" and begin is not None and depth == level - 1:
            return pattern[:begin], pattern[at + 1 :]
    return None


def _signed(pattern: str) -> bool:
    """Tell whether a pattern names the sign before its number itself."""
    parts = _around_group(pattern)
    return parts is not None and parts[0].endswith("-")
