"""Read a YAML file of plain values, each key once."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.records.schema import check_regular


def read_yaml(path: Path) -> Any:
    """Return what a file holds; raise `BenchError` where it can't be read, or has a key twice."""
    import yaml

    try:
        check_regular(path)
        text = path.read_bytes()
        if twice := _twice([yaml.compose(text, yaml.SafeLoader)]):
            raise BenchError(f"{path}: {twice}: one of the two would be left out unsaid")
        return yaml.safe_load(text)
    except OSError as error:
        raise BenchError(f"can't read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BenchError(f"{path} is not YAML: {' '.join(str(error).split())[:160]}") from None


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
