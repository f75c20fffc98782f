"""Do what Python does as a process ends: wait for threads, call what was registered, write out."""

from __future__ import annotations

import atexit
import gc
import io
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import _threads_wakeups
from concurrent.futures.thread import _threads_queues
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakSet

from bench.interception.patches import Patches

WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
POOLS = (ThreadPoolExecutor, ProcessPoolExecutor)
LOOK_SECONDS = 0.1
"""Between two looks whether a script that is waited for was told to end."""
Registered = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


class Ends:
    """Keeps what files in some folders start, and register with `atexit`, for a script's end."""

    def __init__(self, folders: Sequence[Path], patches: Patches) -> None:
        self._folders, self._kept = folders, list[Registered]()
        self._before, self._pools = {*threading.enumerate()}, WeakSet[Executor]()
        self._pooled: list[Set[threading.Thread]] = []
        """The threads of pools, which may outlive them."""
        keep, let_go = atexit.register, atexit.unregister

        def register(function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
            if not self._is_own(sys._getframe(1)):
                return keep(function, *args, **kwargs)
            self._kept.append((function, args, kwargs))
            return function

        def unregister(function: Callable[..., object]) -> None:
            self._kept[:] = [one for one in self._kept if one[0] != function]
            let_go(function)

        patches.replace(atexit, "register", register)
        patches.replace(atexit, "unregister", unregister)
        for kind in POOLS:
            patches.replace(kind, "__init__", self._noting(kind.__init__))

    def _is_own(self, frame: FrameType) -> bool:
        file = Path(frame.f_code.co_filename)
        return any(file.is_relative_to(folder) for folder in self._folders)

    def _noting(self, make: Callable[..., None]) -> Callable[..., None]:
        def __init__(pool: Executor, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            make(pool, *args, **kwargs)
            if self._is_own(sys._getframe(1)):
                self._pools.add(pool)
                self._pooled += [pool._threads] if isinstance(pool, ThreadPoolExecutor) else []

        return __init__

    def wait(self, over: Callable[[], bool]) -> None:
        """Wait for threads that are no daemons, until `over` tells that nothing counts any more.

        Pools end with the work that they have; those that a library keeps are not waited for.
        """
        if over():
            return
        closing = [threading.Thread(target=pool.shutdown, daemon=True) for pool in self._pools]
        for one in closing:
            one.start()
        while not over():
            left = [one for one in (*closing, *self._left()) if one.is_alive()]
            if not left:
                return
            left[0].join(LOOK_SECONDS)

    def _left(self) -> Iterator[threading.Thread]:
        own = {thread for pooled in self._pooled for thread in pooled}
        for thread in {*threading.enumerate()} - self._before - {threading.current_thread()}:
            is_pooled = thread in _threads_queues or thread in _threads_wakeups
            if not thread.daemon and (thread in own or not is_pooled):
                yield thread

    def come(self) -> None:
        """Call what was registered, the last first, and write out what open files still hold."""
        while self._kept:
            function, args, kwargs = self._kept.pop()
            try:
                function(*args, **kwargs)
            except (Exception, SystemExit):  # noqa: BLE001 - Python, too, then calls the others
                print_error()
        for one in gc.get_objects():
            if type(one) in WRITERS:
                with suppress(OSError, ValueError):  # it was closed, or can't be written to
                    one.flush()


def print_error() -> None:
    """Print the exception that is handled, if what a script has put there takes it."""
    with suppress(AttributeError, OSError, ValueError):
        traceback.print_exc()


@contextmanager
def own_streams() -> Iterator[None]:
    """Let a script put others in the place of standard output and error, and write them out."""
    before = sys.stdout, sys.stderr
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr, *before):
            _write_out(stream)
        sys.stdout, sys.stderr = before


def _write_out(stream: Any) -> None:
    """Flush what may be any object, as Python does at its end: where that fails, so be it."""
    try:
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()
    except Exception:  # noqa: BLE001 - Python goes on, too: what the script did stands
        return
