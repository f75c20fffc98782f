"""Find the metric in the files that a script writes: JSON, CSV, event files of TensorBoard.

Only what was written while the script ran counts: its folder may hold the files of an earlier one.
"""

from __future__ import annotations

import csv
import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.errors import BenchError

EVENTS = "tensorboard:"
"""What a metric begins with that is a scalar of TensorBoard's."""
IN_FILE = re.compile(r"([^()\\]+\.(?:json|jsonl|csv)):([^()\\]+)")
"""``results.json:val.acc``, ``logs/*/metrics.csv:val_acc``."""
Stamp = tuple[int, int]
Files = Mapping[Path, Stamp]


@dataclass(frozen=True)
class Told:
    """In which files, by a pattern of their names, a metric stands, and under which key."""

    files: str
    key: str

    def found(self, folder: Path) -> dict[Path, Stamp]:
        """Return the files that are there now, with size and time of change."""
        try:
            paths = [path for path in folder.glob(self.files) if path.is_file()]
        except (ValueError, NotImplementedError) as error:
            raise BenchError(f"--metric {self.files}:{self.key}: {error}") from None
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}

    def read(self, folder: Path, before: Files) -> float:
        """Return the last value in what was written since `before`.

        Raises `BenchError` where nothing was, or holds no such number.
        """
        if self.files == EVENT_FILES:
            _flush()
        new = [path for path, stamp in self.found(folder).items() if before.get(path) != stamp]
        new.sort(key=lambda path: path.stat().st_mtime_ns)
        if not new:
            raise BenchError(f"--metric {self}: the script writes no {self.files} in its folder")
        if self.files == EVENT_FILES:
            return self._number(_of_events(new, self.key))
        read = _rows if new[-1].suffix == ".csv" else _records
        try:
            return self._number(read(new[-1].read_text(), self.key))
        except (ValueError, csv.Error) as error:
            raise BenchError(f"--metric {self}: {new[-1].name} can't be read: {error}") from None

    def __str__(self) -> str:
        """Return it as it was given."""
        return f"{EVENTS}{self.key}" if self.files == EVENT_FILES else f"{self.files}:{self.key}"

    def _number(self, found: list[Any]) -> float:
        """Return the last of what was found under the key, as a number."""
        *keys, value = found
        if value is None:
            known = f"; there are: {', '.join(dict.fromkeys(keys))[:160]}" if keys else ""
            raise BenchError(f"--metric {self}: nothing is called {self.key} there{known}")
        try:
            return float(value)
        except (TypeError, ValueError):
            shown = str(value)[:40]
            raise BenchError(
                f"--metric {self}: {self.key} is {shown!r}, which is no number"
            ) from None


EVENT_FILES = "**/*tfevents*"


def told_in_files(metric: str) -> Told | None:
    """Return where a metric stands; None where it is in no file: a pattern, or a name."""
    if metric.startswith(EVENTS):
        return Told(EVENT_FILES, metric.removeprefix(EVENTS))
    found = IN_FILE.fullmatch(metric)
    return Told(found[1], found[2]) if found else None


def check_readable(told: Told) -> None:
    """Raise `BenchError` where what reads such files is not installed."""
    if told.files == EVENT_FILES and find_spec("tensorboard") is None:
        raise BenchError(
            f"--metric {told} needs the package tensorboard: pip install 'trainpairs[tensorboard]'"
        )


def _records(text: str, key: str) -> list[Any]:
    """Return the keys that are there, and last the value of a key: of JSON, whole or by lines."""
    try:
        whole = json.loads(text)
    except ValueError:
        whole = [json.loads(line) for line in text.splitlines() if line.strip()]
    records = whole if isinstance(whole, list) else [whole]
    keys = [str(name) for one in records[-1:] if isinstance(one, dict) for name in one]
    values = (_value(one, key) for one in reversed(records))
    return [*keys, next((one for one in values if one is not None), None)]


def _value(record: Any, key: str) -> Any:
    """Return what stands under a key, or keys within keys (``val.acc``); of a list, the last."""
    if isinstance(record, list):
        return next((v for one in reversed(record) if (v := _value(one, key)) is not None), None)
    if not isinstance(record, dict):
        return None
    if key in record:
        value = record[key]
        return value[-1] if isinstance(value, list) and value else value
    first, _, rest = key.partition(".")
    return _value(record.get(first), rest) if rest else None


def _rows(text: str, column: str) -> list[Any]:
    """Return the columns that are there, and last the lowest entry of one."""
    rows = csv.DictReader(text.splitlines())
    entries = [row[column] for row in rows if (row.get(column) or "").strip()]
    return [*(rows.fieldnames or ()), entries[-1] if entries else None]


def _of_events(paths: Iterable[Path], tag: str) -> list[Any]:
    """Return the tags that are there, and last the value that one was given last."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    seen: dict[str, tuple[float, Any]] = {}
    for path in paths:
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if event.wall_time >= seen.get(value.tag, (0.0, None))[0]:
                    seen[value.tag] = event.wall_time, value.tensor
    last = seen.get(tag)
    return [*seen, None if last is None else make_ndarray(last[1])]


def _flush() -> None:
    """Write out what TensorBoard's writers still hold, which a script need not close."""
    for thread in threading.enumerate():
        if type(thread).__module__ == "tensorboard.summary.writer.event_file_writer":
            waiting, writer = vars(thread)["_queue"], vars(thread)["_record_writer"]
            waiting.join()
            writer.flush()
