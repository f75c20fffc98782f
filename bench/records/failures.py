"""What a failed trial said, whole: kept in the run's folder, as files that reports lead to."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from bench.records.measurement import UNTRIED, Measurement

FOLDER, LOG = "failures", "trial.log"
MOST_BYTES = 20_000
"""Of a file, from its end, that is shown."""


def name_of(record: Measurement) -> str:
    """Return where a failed trial's output lies within its run's folder."""
    arm = re.sub(r"[^\w.+#=,-]+|^\.+", "_", record.arm)[:100]
    again = f"-{record.attempt}" if record.attempt else ""
    return f"{FOLDER}/{arm}-pair-{record.pair}{again}.txt"


def keep(folder: Path, record: Measurement, scratch: Path) -> None:
    """Keep the output of a trial that failed, where it left any among what is thrown away."""
    log = scratch / LOG
    if record.ok or record.status in UNTRIED or not log.is_file() or not log.stat().st_size:
        return
    path = folder / name_of(record)
    path.parent.mkdir(exist_ok=True)
    shutil.copyfile(log, path)


def read(folder: Path, record: Measurement) -> str | None:
    """Return the end of what a failed trial said; None where nothing was kept."""
    path = folder / name_of(record)
    if not path.is_file() or path.resolve() != folder.resolve() / name_of(record):
        return None
    text = path.read_bytes()[-MOST_BYTES:].decode(errors="replace")
    return text.strip() or None
