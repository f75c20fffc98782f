"""Read a YAML file of plain values: each key once, each number as it is written."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.records.schema import check_regular

NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
OTHER_BASE = re.compile(r"[-+]?0[0-9xXbo_]|.*:")
"""Leading zeros, 0x, 0b, and what YAML takes for minutes and seconds."""


def read_yaml(path: Path) -> Any:
    """Return what a file holds; raise `BenchError` where it can't be read, or has a key twice.

    Numbers that YAML reads otherwise than anybody writes them are refused: 010 is 8 there, and 1:30
    is 90.
    """
    import yaml

    try:
        check_regular(path)
        text = path.read_bytes()
        whole = yaml.compose(text, yaml.SafeLoader)
        if twice := _twice([whole]):
            raise BenchError(f"{path}: {twice}: one of the two would be left out unsaid")
        if odd := _odd([whole]):
            raise BenchError(f"{path}: {odd}")
        return yaml.safe_load(text)
    except OSError as error:
        raise BenchError(f"can't read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BenchError(f"{path} is not YAML: {' '.join(str(error).split())[:160]}") from None


def _odd(nodes: list[Any]) -> str | None:
    """Say which number is in base 8, 16, 2 or 60."""
    seen = set[int]()
    while nodes:
        node = nodes.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node.value, list):
            nodes += chain.from_iterable(p if isinstance(p, tuple) else (p,) for p in node.value)
        elif node.tag in NUMBERS and OTHER_BASE.match(node.value):
            return (f"line {node.start_mark.line + 1}: {node.value} is a number of another base in "
                    "YAML: write it in decimals, or in quotes if it is a text")  # fmt: skip
    return None


def _twice(nodes: list[Any]) -> str | None:
    """Say which key a mapping has twice, and where it begins; each node is looked at once."""
    seen = set[int]()
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(getattr(node, "value", None), list):
            continue
        seen.add(id(node))
        keys = [part[0].value for part in node.value if isinstance(part, tuple)]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            return f"{twice} is there twice in what begins on line {node.start_mark.line + 1}"
        nodes += chain.from_iterable(p if isinstance(p, tuple) else (p,) for p in node.value)
    return None
