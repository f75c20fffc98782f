"""What of a run's command is bench's own, and what is a script's, behind its `--`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

OF_SIDES = ("ab", "judge")
"""Commands that have what they train behind a `--` of their own."""


def own_words(command: Sequence[str]) -> list[str]:
    """Return the words of a command without its script's, and without the `--` before these."""
    words, begin = [*command], 1
    if len(words) > 1 and words[1] in OF_SIDES and "--" in words:
        begin = words.index("--") + 1
    if words[begin : begin + 1] != ["script"] or "--" not in words[begin:]:
        return words
    return words[: words.index("--", begin)]


def output_of(command: Sequence[str]) -> str:
    """Return the folder that runs are made in, as it was asked for."""
    output = "results"
    for word, following in pairwise([*own_words(command), ""]):
        if word == "--output":
            output = following
        elif word.startswith("--output="):
            output = word.partition("=")[2]
    return output
