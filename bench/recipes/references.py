"""Parse what names a technique or baseline, and find the files that references name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from bench.errors import BenchError
from bench.recipes.program import program_of, runs_first
from bench.records.recipe import reference_in
from bench.records.schema import Json

FilePaths = Mapping[str, str]
"""Where the Python files that recipes name lie on this machine: whole path by file name."""


def whole_path(text: str) -> str:
    """Return a technique's text with the path of its file, if it has one, made whole."""
    file, colon, rest = text.partition(".py:")
    return f"{Path(file + '.py').resolve()}:{rest}" if colon else text


def parse_assignments(texts: Sequence[str]) -> Json:
    """Return the settings of ``key=value`` texts; a value that starts like JSON is read as JSON."""
    values: Json = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise BenchError(f'"{text}" is not of the form key=value')
        if key.strip() in values:
            raise BenchError(f'the setting "{key.strip()}" is given twice')
        values[key.strip()] = _value(value.strip())
    return values


def parse_technique(text: str) -> tuple[str, Json]:
    """Split ``name:key=value,key=value`` (or ``file.py:Class:key=value``) in two."""
    reference = reference_in(text)
    rest = text[len(reference) + 1 :]
    if not reference:
        raise BenchError(f'"{text}" names no technique')
    pairs = re.split(r",(?=[^,=\[\]{}]+=)", rest)  # a list's commas belong to its value
    return reference, parse_assignments(pairs) if rest else {}


def places_of(references: Sequence[str]) -> dict[str, str]:
    """Return where the files lie that references name, and what these import from beside them.

    Two files of one name are refused, but for equal neighbours.
    """
    named = [(path, reference) for reference in references if (path := file_of(reference))]
    places: dict[str, str] = {}
    for path, reference in named:
        if path.resolve().name != path.name:
            raise BenchError(f"{reference} names a link to {path.resolve()}: name that file")
        _place(places, path.name, path.resolve())
    for path, reference in named:
        first = runs_first(reference, places, path.resolve())
        for name, source in program_of(path, first).sources.items() if path.is_file() else ():
            _place(places, name, source.path, source.sha256)
    return places


def _place(places: dict[str, str], name: str, path: Path, sha256: str = "") -> None:
    other = places.setdefault(name, str(path))
    equal = sha256 and sha256 == hashlib.sha256(Path(other).read_bytes()).hexdigest()
    if other != str(path) and not equal:
        raise BenchError(f"{other} and {path} have the same name; rename one")


def relative(reference: str) -> str:
    """Return a reference, or a technique's text, with its file's name alone, as records keep it."""
    file, colon, rest = reference.partition(".py:")
    return f"{Path(file).name}.py:{rest}" if colon else reference


def _value(text: str) -> JsonValue:
    if text in ("null", "none", "None"):
        return None
    if text[:1] in ("[", "{"):
        try:
            value: JsonValue = json.loads(text)
            return value
        except (ValueError, RecursionError):
            raise BenchError(f"{text[:60]} is not JSON") from None
    return text


def is_file(reference: str) -> bool:
    """Return whether a reference is of the form ``file.py:Class``."""
    return ".py:" in reference or reference.endswith(".py")


def file_of(reference: str) -> Path | None:
    """Return the file that a ``file.py:Class`` reference names."""
    return Path(reference.rpartition(":")[0]) if ".py:" in reference else None
