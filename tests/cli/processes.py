"""Run `bench` as a process of its own, and read what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

BENCH = str(Path(sys.executable).parent / "bench")
HERE = Path(__file__).resolve().parent
TINY = f"{HERE / 'tiny_model.py'}:Tiny"
FAULTS = str(HERE / "faults.py")
Done = subprocess.CompletedProcess[str]
Bench = Callable[..., Done]


def run(*args: str, cwd: Path, timeout: float = 300, **changes: str) -> Done:
    """Run `bench ARGS` in a folder and wait for it."""
    return subprocess.run(
        [BENCH, *args],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def environment(**changes: str) -> dict[str, str]:
    """Return a plain environment: nothing of pytest's, a wide terminal."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "_BENCH"))}
    return {**kept, "COLUMNS": "200", **changes}


def start(*args: str, cwd: Path) -> subprocess.Popen[str]:
    """Start `bench ARGS` in a process group of its own and go on."""
    return subprocess.Popen(
        [BENCH, *args],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_interrupts,
    )


def _heed_interrupts() -> None:
    """Undo that a shell's background jobs ignore SIGINT, which their children inherit."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def only_run(folder: Path) -> Path:
    """Return the one run folder in `folder`/results."""
    (path,) = (folder / "results").iterdir()
    return path


def records(run: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a run's trials.jsonl."""
    path = run / "trials.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until a condition holds; fail after so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.05)


def has_records(folder: Path, count: int) -> bool:
    """Tell whether a run has written so many trials."""
    results = folder / "results"
    runs = list(results.iterdir()) if results.exists() else []
    return bool(runs) and len(records(runs[0])) >= count


def worker_of(process: subprocess.Popen[str]) -> psutil.Process | None:
    """Return the process of the trial that runs now: a child of the fork server."""
    try:
        for server in psutil.Process(process.pid).children():
            if children := server.children():
                return children[0]
    except psutil.NoSuchProcess:
        pass
    return None
