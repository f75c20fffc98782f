"""The form of every record: frozen, refusing unknown fields, of one numbered format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import BenchError

FORMAT = 1


class Record(BaseModel):
    """A record that can't be changed and takes no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file; raise `BenchError` naming the file otherwise."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise BenchError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} is not JSON: {str(error)[:120]}") from None
    if not isinstance(content, dict):
        raise BenchError(f"{path} holds a JSON {type(content).__name__}, not an object")
    return content


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def check_format(content: dict[str, Any], path: Path) -> None:
    """Refuse a file of a format that this version doesn't know."""
    found = content.get("format")
    if found != FORMAT or isinstance(found, bool):
        newer = isinstance(found, int) and found > FORMAT
        advice = "update trainbench to read it" if newer else "is it a file of bench?"
        raise BenchError(f"{path} has format {found!r}; this bench reads format {FORMAT}: {advice}")


def first_problem(error: ValidationError) -> str:
    """Return the first of pydantic's problems as ``field: message``, the value shortened."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"]) or "content"
    value = repr(problem.get("input"))
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message} (got {value[:60]})"
