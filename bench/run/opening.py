"""Open the run that was asked for: a new one or an unfinished one, of one revision or of two."""

from __future__ import annotations

from contextlib import AbstractContextManager

from bench.records.run_folder import read_header
from bench.run import between, start
from bench.run.observer import Observer
from bench.run.request import Request, Resumption
from bench.run.session import Session


def opened(asked: Request | Resumption, show: Observer) -> AbstractContextManager[Session]:
    """Open a run; `show` is told of the folder."""
    if isinstance(asked, Request):
        if asked.compared is None:
            return start.new(asked, show)
        return between.new(asked, asked.compared, show)
    known = read_header(asked.path).revisions
    return start.again(asked, show) if known is None else between.again(asked, known, show)
