"""What a command left in `results` fits the published schemas, whatever the test was about."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.test_schemas import fits

FILES = {"run.json": "run", "trials.jsonl": "trials", "probes.jsonl": "trials",
         "optimized.json": "recipe"}  # fmt: skip
"""Of a run's folder, by the schema of the file or of each of its lines."""


def check_written(folder: Path, since: float) -> None:
    """Check every file of runs in `folder`/results that was written since a time."""
    for name, schema in FILES.items():
        for path in (folder / "results").glob(f"*/{name}"):
            if path.stat().st_mtime >= since:
                for record in _records(path):
                    fits(schema, record)


def _records(path: Path) -> list[object]:
    text = path.read_text()
    lines = text.split("\n")[:-1] if path.suffix == ".jsonl" else [text]
    return [json.loads(line) for line in lines]
