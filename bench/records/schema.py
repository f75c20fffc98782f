"""The one door for what stands on disk: every record is read whole and validated, or refused.

A record is frozen, refuses unknown fields and holds finite numbers only. What has no type of its
own (settings, environments) is plain JSON: shallow, finite, of real text.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bench.errors import BenchError

FORMAT = 1
DEPTH = 32
"""How deep lists and objects may lie in one another; a run's own stay under 10."""
WHOLE = 2**63 - 1
LARGEST = 1e100
"""Of a number: its square is one too."""
Value = TypeVar("Value")


class Record(BaseModel):
    """A record that can't be changed, takes no unknown field and no number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def plain(value: Value, depth: int = 0) -> Value:
    """Return a JSON value; raise `ValueError` where it is too deep or can't be written as JSON."""
    if depth > DEPTH:
        raise ValueError(f"nested more than {DEPTH} deep")
    if isinstance(value, str):  # most of them are
        _text(value)
    elif isinstance(value, dict):
        for key, part in value.items():
            _text(key)
            plain(part, depth + 1)
    elif isinstance(value, list | tuple):
        for part in value:
            plain(part, depth + 1)
    elif isinstance(value, int | float):
        _finite(value)
    elif value is not None:
        raise ValueError(f"a {type(value).__name__} is no value of JSON")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a key is a {type(value).__name__}, not a text")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("a text has bytes that are no UTF-8") from None
    return value


def _finite(value: float) -> None:
    if not math.isfinite(value) if isinstance(value, float) else abs(value) > WHOLE:
        raise ValueError("a number is not finite, or too large")


def plain_text(value: object) -> str:
    """Return a setting's value as an arm's name shows it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _instant(value: str) -> str:
    datetime.fromisoformat(value)
    return value


Json = Annotated[dict[str, Any], AfterValidator(plain)]
"""Plain values by name: settings, facts, a row for a program to read."""
Text = Annotated[str, AfterValidator(_text)]
Count = Annotated[int, Field(ge=0, le=WHOLE)]
Whole = Annotated[int, Field(ge=-WHOLE, le=WHOLE)]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Amount = Annotated[float, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Instant = Annotated[str, AfterValidator(_instant)]
"""An ISO 8601 time."""
Read = TypeVar("Read", bound=Record)


def check_regular(path: Path) -> None:
    """Raise `BenchError` for a device or a pipe, which may never end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise BenchError(f"can't read {path}: it is no regular file")


def read_record(model: type[Read], path: Path, what: str) -> Read:
    """Read a file that holds one record; raise `BenchError` naming the file for anything else."""
    try:
        check_regular(path)
        text = path.read_bytes()
    except OSError as error:
        raise BenchError(f"can't read {path}: {error.strerror}") from None
    content = parse_object(text, str(path))
    if not isinstance(content, dict):
        raise BenchError(f"{path} holds a JSON {type(content).__name__}, not an object")
    found = content.get("format")
    if not is_known(found):
        newer = type(found) is int and found > FORMAT
        advice = "update trainpairs to read it" if newer else "is it a file of bench?"
        raise BenchError(f"{path} has format {found!r}; this bench reads format {FORMAT}: {advice}")
    return validated(model, text, f"{path}{what}")


def read_line(model: type[Read], line: bytes, where: str) -> Read:
    """Return the record of a journal's line; raise `BenchError` that begins with `where`."""
    content = parse_object(line, where)
    found = content.get("format") if isinstance(content, dict) else None
    if not is_known(found):
        raise BenchError(f"{where}: format {found!r}; this bench reads {FORMAT}")
    return validated(model, line, where)


def parse_object(text: bytes, where: str) -> object:
    """Parse JSON, refusing a key that is there twice and numbers that JSON doesn't have."""
    try:
        return json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{where} is not JSON: {str(error)[:120]}") from None


def is_known(format: object) -> bool:
    """Tell whether a record's format is one that is read; True and 1.0 are no formats."""
    return type(format) is int and format == FORMAT


def validated(model: type[Read], text: bytes, where: str) -> Read:
    """Return JSON text as a record, every value of exactly its type."""
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise BenchError(f"{where}: {first_problem(error)}") from None


def made(model: type[Read], **values: object) -> Read:
    """Return a record of values; raise `BenchError` for one that could not be read back."""
    try:
        return model(**values)
    except ValidationError as error:
        raise BenchError(f"{model.__name__.lower()}: {first_problem(error)}") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'the key "{twice[:40]}" is there twice')
    return made


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def first_problem(error: ValidationError) -> str:
    """Return the first of pydantic's problems as ``field: message``, the value shortened."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"]) or "content"
    value = problem.get("input")
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(value, dict | list | tuple):
        return f"{place}: {message}"
    return f"{place}: {message} (got {repr(value)[:60]})"
