"""Where GitHub Actions asks for a step's summary, what is found is written there too."""

from __future__ import annotations

import os
from pathlib import Path

from bench.cli.output import say

VARIABLE = "GITHUB_STEP_SUMMARY"
MOST_BYTES = 900 * 1024
"""A step may write 1 MiB; more is refused as a whole."""


def write(markdown: str) -> None:
    """Append Markdown to the step's summary, if there is one; that it can't be is no failure."""
    place = os.environ.get(VARIABLE)
    if not place:
        return
    text = markdown.encode()
    if len(text) > MOST_BYTES:
        text = (
            text[:MOST_BYTES].decode(errors="ignore").encode()
            + b"\n\n(cut off; the report has all of it)\n"
        )
    try:
        with Path(place).open("ab") as file:
            file.write(text + b"\n")
    except OSError as error:
        say(f"can't write {VARIABLE} ({place}): {error.strerror}")
