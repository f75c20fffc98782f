"""Do what Python does as a process ends: call what was registered for that, write files out."""

from __future__ import annotations

import atexit
import gc
import io
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.interception.patches import Patches

WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
Registered = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


class Ends:
    """Keeps what files in some folders register with `atexit`, for the end of a script."""

    def __init__(self, folders: Sequence[Path], patches: Patches) -> None:
        self._folders, self._kept = folders, list[Registered]()
        keep, let_go = atexit.register, atexit.unregister

        def register(function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
            file = Path(sys._getframe(1).f_code.co_filename)
            if not any(file.is_relative_to(folder) for folder in self._folders):
                return keep(function, *args, **kwargs)
            self._kept.append((function, args, kwargs))
            return function

        def unregister(function: Callable[..., object]) -> None:
            self._kept[:] = [one for one in self._kept if one[0] != function]
            let_go(function)

        patches.replace(atexit, "register", register)
        patches.replace(atexit, "unregister", unregister)

    def come(self) -> None:
        """Call what was registered, the last first, and write out what open files still hold."""
        while self._kept:
            function, args, kwargs = self._kept.pop()
            try:
                function(*args, **kwargs)
            except (Exception, SystemExit):  # noqa: BLE001 - Python, too, then calls the others
                traceback.print_exc()
        for one in gc.get_objects():
            if type(one) in WRITERS:
                with suppress(OSError, ValueError):  # it was closed, or can't be written to
                    one.flush()
