"""Where what can be made again is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import BenchError


def cache_folder() -> Path:
    """Return the folder, made where it is missing: `trainbench` in XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(root) / "trainbench"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"can't make the cache folder {folder} ({error.strerror}); set XDG_CACHE_HOME"
        ) from error
    return folder
