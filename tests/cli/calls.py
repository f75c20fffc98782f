"""Call `bench ARGS` in this process: its trials are processes of their own, the command is none.

So a test spares a start, two imports of torch among it: the trials of all that one worker calls
come from one fork server.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.main import main
from tests.cli.processes import Done, only_run


def call(*args: str, cwd: Path, **changes: str) -> Done:
    """Call `bench ARGS` in a folder; return its exit code and what it printed."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["bench", *args])
        patch.setattr(sys, "path", [*sys.path])
        for name, value in {"COLUMNS": "200", **changes}.items():
            patch.setenv(name, value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _ended()
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
