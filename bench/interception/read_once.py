"""Hold a script to the variables that torch reads only once: in a trial it has read them before."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from bench.errors import BenchError
from bench.interception.patches import Patches
from bench.interception.script import Script
from bench.machine.variables import THREADS

LOADING = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Read as torch is imported: what a script sets later changes nothing in plain Python either."""
COMPUTING = ("MKL_NUM_THREADS",)
"""Read as torch first computes."""
ON_GPU = ("CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""Read as it first uses a GPU."""


class ReadOnce:
    """Sees which of them a script sets before plain Python would read them."""

    def __init__(self, script: Script) -> None:
        self._names = (*LOADING, *COMPUTING, *(ON_GPU if script.device.type == "cuda" else ()))
        self._before: Mapping[str, str] = dict(os.environ)
        self._imported: Mapping[str, str] | None = None
        """What was set as the script first imported torch."""
        self._threads = torch.get_num_threads()
        script.throughout(self._noting)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note what is set as the script imports torch, which is imported already."""
        plain = builtins.__import__

        def __import__(name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
            if name.partition(".")[0] == "torch" and not any(args[3:]):  # the level: not its own
                self._imported = dict(os.environ)
                patches.replace(builtins, "__import__", plain)
            return plain(name, *args, **kwargs)

        with Patches() as patches:
            patches.replace(builtins, "__import__", __import__)
            yield

    def check(self, name: str) -> None:
        """Raise `BenchError` where the script of a name set one, which changed nothing."""
        imported = os.environ if self._imported is None else self._imported
        for variable in self._names:
            value = (imported if variable in LOADING else os.environ).get(variable)
            if value == self._before.get(variable) or self._is_so(variable, value):
                continue
            do, to = ("unset", "") if value is None else ("set", f"={value}")
            option = variable in THREADS and value is not None and value.isdecimal()
            raise BenchError(
                f"{name} {do}s {variable}{to}, which torch has read already: {do} it when starting "
                f"bench{f', or use --threads {value}' if option else ''}"
            )

    def _is_so(self, variable: str, value: str | None) -> bool:
        """Tell whether torch has what a variable asks for, or the script saw to that."""
        if variable == "CUDA_VISIBLE_DEVICES":
            every = ",".join(map(str, range(torch.cuda.device_count())))
            return variable not in self._before and value == every
        now = torch.get_num_threads()
        return variable in THREADS and (now != self._threads or value == str(now))
