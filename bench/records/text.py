"""Texts that are shown or written: one line where a line is wanted, and nothing that acts."""

from __future__ import annotations

REPLACEMENT = "\ufffd"


def printable(text: str) -> str:
    """Return a text with control characters, but for line breaks and tabs, replaced."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else REPLACEMENT for c in text)
