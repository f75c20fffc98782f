"""Parse what names a technique or baseline, and find the files that references name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError

FilePaths = Mapping[str, str]
"""Where the Python files that recipes name lie on this machine: whole path by file name."""


def find(reference: str, places: FilePaths) -> str:
    """Return a reference whose file, if it has one, is given by its whole path."""
    if not is_file(reference):
        return reference
    file, _, name = reference.rpartition(":")
    return f"{places.get(file, file)}:{name}"


def whole_path(text: str) -> str:
    """Return a technique's text with the path of its file, if it has one, made whole."""
    file, colon, rest = text.partition(".py:")
    return f"{Path(file + '.py').resolve()}:{rest}" if colon else text


def parse_assignments(texts: Sequence[str]) -> dict[str, Any]:
    """Return the settings of ``key=value`` texts; a value that starts like JSON is read as JSON."""
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise BenchError(f'"{text}" is not of the form key=value')
        if key.strip() in values:
            raise BenchError(f'the setting "{key.strip()}" is given twice')
        values[key.strip()] = _value(value.strip())
    return values


def parse_technique(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``name:key=value,key=value`` (or ``file.py:Class:key=value``) in two."""
    parts = text.split(":")
    width = 2 if ".py:" in text else 1
    reference, rest = ":".join(parts[:width]), ":".join(parts[width:])
    if not reference:
        raise BenchError(f'"{text}" names no technique')
    pairs = re.split(r",(?=[^,=\[\]{}]+=)", rest)  # a list's commas belong to its value
    return reference, parse_assignments(pairs) if rest else {}


def places_of(references: Sequence[str]) -> dict[str, str]:
    """Return where the files lie that references name; two files of one name are refused."""
    places: dict[str, str] = {}
    for reference in references:
        path = file_of(reference)
        if path is None:
            continue
        whole = str(path.resolve())
        if places.setdefault(path.name, whole) != whole:
            raise BenchError(f"{places[path.name]} and {whole} have the same name; rename one")
    return places


def relative(reference: str) -> str:
    """Return a reference with its file's name alone, as recipes keep it."""
    path = file_of(reference)
    return reference if path is None else f"{path.name}:{reference.rpartition(':')[2]}"


def _value(text: str) -> Any:
    if text in ("null", "none", "None"):
        return None
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise BenchError(f"{text[:60]} is not JSON") from None
    return text


def is_file(reference: str) -> bool:
    """Return whether a reference is of the form ``file.py:Class``."""
    return ".py:" in reference or reference.endswith(".py")


def file_of(reference: str) -> Path | None:
    """Return the file that a ``file.py:Class`` reference names."""
    return Path(reference.rpartition(":")[0]) if ".py:" in reference else None
