"""Call `bench ARGS` in this process: its trials are processes of their own, the command is none.

So a test spares a start, two imports of torch among it: the trials of all that one worker calls
come from one fork server.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.cli.main import main
from tests.cli.processes import Done, only_run
from tests.cli.written import check_written

FINISHED = (0, 1, 3)
"""Exit codes of what was done, whatever it found."""


def call(*args: str, cwd: Path, **changes: str) -> Done:
    """Call `bench ARGS` in a folder; return its exit code and what it printed.

    The records of a run that it wrote, and finished, are held to their schemas.
    """
    begun = time.time()
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["bench", *args])
        patch.setattr(sys, "path", [*sys.path])
        for name, value in {"COLUMNS": "200", **changes}.items():
            patch.setenv(name, value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _ended()
    if code in FINISHED:
        check_written(cwd, begun)
    return subprocess.CompletedProcess(args, code, _text(out), _text(err))


def called_once(folder: Path, *args: str) -> Path:
    """Call `bench ARGS` in a folder; return that of its one run."""
    done = call(*args, cwd=folder)
    assert done.returncode == 0, done.stderr
    return only_run(folder)


def _ended() -> int:
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
