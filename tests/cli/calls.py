"""Call `bench ARGS` in this process: its trials are processes of their own, the command is none.

So a test spares a start, two imports of torch among it: the trials of all that one worker calls
come from one fork server. A command that is refused leaves it running, where as a process of its
own it ends it (`tests/unit/test_runner.py`): the next call would import all again.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.launch import local
from bench.records.measurement import Measurement
from bench.run.plan import Planned
from bench.run.session import Session
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
        patch.setattr(local, "_end_servers", lambda: None)
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


@contextlib.contextmanager
def interrupted_after(trials: int, look: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Let Ctrl-C come in place of a run's next trial after so many; `look` is called before it."""
    trial, made = Session.trial, list[Planned]()

    def interrupt(session: Session, planned: Planned) -> Measurement:
        if len(made) == trials:
            look()
            raise KeyboardInterrupt
        made.append(planned)
        return trial(session, planned)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "trial", interrupt)
        yield


def _ended() -> int:
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
