"""Do what Python does as a process ends: wait for threads, call what was registered, write out."""

from __future__ import annotations

import atexit
import functools
import gc
import io
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakSet

from bench.interception.patches import Patches

WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
POOLS = (ThreadPoolExecutor, ProcessPoolExecutor)
LIBRARY, INSTALLED = Path(os.__file__).parent, frozenset({"site-packages", "dist-packages"})
"""Where Python's own modules lie, and what is installed: in a script's folder, maybe."""
LOOK_SECONDS = 0.1
"""Between two looks whether a script that is waited for was told to end."""
Registered = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


class Ends:
    """Keeps what files in some folders start, and register with `atexit`, for a script's end.

    What a library starts ends as it does at the end of the process: by hooks of its own, maybe.
    """

    def __init__(self, folders: Sequence[Path], patches: Patches) -> None:
        self._folders, self._kept = folders, list[Registered]()
        self._pools, self._threads = WeakSet[Executor](), WeakSet[threading.Thread]()
        """Those that these files started; the threads of such pools, which may outlive them."""
        self._is_ended = False
        self._is_own_file = functools.cache(self._lies_there)
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
        patches.replace(threading.Thread, "start", self._starting(threading.Thread.start))
        self._let_main_thread_end(threading.main_thread(), patches)

    def _lies_there(self, name: str) -> bool:
        return any(_is_of(Path(name), folder) for folder in self._folders)

    def _is_own(self, frame: FrameType) -> bool:
        return self._is_own_file(frame.f_code.co_filename)

    def _noting(self, make: Callable[..., None]) -> Callable[..., None]:
        def __init__(pool: Executor, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            make(pool, *args, **kwargs)
            if self._is_own(sys._getframe(1)):
                self._pools.add(pool)

        return __init__

    def _starting(self, plain: Callable[[threading.Thread], None]) -> Callable[..., None]:
        def start(thread: threading.Thread) -> None:
            caller = sys._getframe(1)
            if self._is_own(caller) or self._is_of_pool(caller):
                self._threads.add(thread)
            plain(thread)

        return start

    def _is_of_pool(self, frame: FrameType) -> bool:
        """Tell whether a method of such a pool is in a frame."""
        one = frame.f_locals.get("self") if "self" in frame.f_code.co_varnames else None
        return issubclass(type(one), POOLS) and one in self._pools

    def _let_main_thread_end(self, main: threading.Thread, patches: Patches) -> None:
        """Let the main thread be over for others while they are waited for, as Python does."""
        lives, join = main.is_alive, main.join

        def is_alive() -> bool:
            return not self._is_ended and lives()

        def joined(timeout: float | None = None) -> None:
            until = time.monotonic() + (math.inf if timeout is None else timeout)
            while is_alive() and (left := until - time.monotonic()) > 0:
                join(min(left, LOOK_SECONDS))

        patches.replace(main, "is_alive", is_alive)
        patches.replace(main, "join", joined)

    def wait(self, over: Callable[[], bool]) -> None:
        """Wait for own threads that are no daemons, until `over` tells that nothing counts.

        Pools end with the work that they have.
        """
        if over():
            return
        self._is_ended = True
        closing = [threading.Thread(target=pool.shutdown, daemon=True) for pool in self._pools]
        for one in closing:
            one.start()
        while not over():
            left = [one for one in (*closing, *self._left()) if one.is_alive()]
            if not left:
                return
            left[0].join(LOOK_SECONDS)

    def _left(self) -> Iterator[threading.Thread]:
        for thread in {*threading.enumerate()} - {threading.current_thread()}:
            if not thread.daemon and thread in self._threads:
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


def _is_of(file: Path, folder: Path) -> bool:
    """Tell whether a file lies in a folder, and in no library that is in there too."""
    if not file.is_relative_to(folder) or INSTALLED & {*file.relative_to(folder).parts}:
        return False
    return not (LIBRARY.is_relative_to(folder) and file.is_relative_to(LIBRARY))


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
