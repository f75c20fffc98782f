"""Texts that are shown or written: one line where a line is wanted, and nothing that acts."""

from __future__ import annotations

from collections.abc import Container

REPLACEMENT = "\ufffd"
SMALL, NOTHING = 1e-3, 1e-12
"""A metric below the first is shown with three digits; below the second it is rounding."""


def printable(text: str) -> str:
    """Return a text with control characters, but for line breaks and tabs, replaced."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else REPLACEMENT for c in text)


def metric_beside(name: str, taken: Container[str]) -> str:
    """Return what a metric is called beside costs, of which one may have its name."""
    return f"{name} (metric)" if name in taken else name


def amount(value: float, sign: str = "") -> str:
    """Return a metric, or its change, with four decimals; a small one with as many as tell it."""
    size = abs(value)
    if size < NOTHING:
        return f"{0:{sign}.4f}"
    return f"{value:{sign}.4f}" if size >= SMALL else f"{value:{sign}.3g}"
