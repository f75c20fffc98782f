"""`bench init FILE`: write a runnable template of one's own baseline."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from bench.errors import BenchError

WHOLE, SHORT = "my_model.py.txt", "my_loaders.py.txt"


def write(path: Path, loaders: bool = False) -> str:
    """Write a template to a new file, the short one for `loaders`; return what to do next."""
    if path.suffix != ".py":
        raise BenchError(f"{path} is no Python file; give a name that ends in .py")
    if path.exists():
        raise BenchError(f"{path} is there already; give another name")
    text = files("bench.cli").joinpath(SHORT if loaders else WHOLE).read_text(encoding="utf-8")
    try:
        path.write_text(text.replace("FILE", path.name), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"can't write {path}: {error.strerror}") from None
    return f"wrote {path}; try it: bench --baseline {path}:MyModel --baseline-only"
