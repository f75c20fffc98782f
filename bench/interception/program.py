"""Run a Python file, or a module, as `python` would: as ``__main__``, with its own arguments."""

from __future__ import annotations

import builtins
import gc
import runpy
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from bench.interception.backward import Backward
from bench.interception.ending import Ends
from bench.interception.loading import Draws
from bench.interception.modules import own_modules
from bench.interception.patches import Patches
from bench.interception.script import Ended, Script
from bench.interception.watch import Watch


@dataclass(frozen=True, slots=True)
class Program:
    """What is run."""

    path: Path
    module: str | None
    arguments: Sequence[str]
    folder: Path
    """The working folder."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a script ended: `code` is what it gave to `sys.exit`; `early`: we ended it."""

    code: object
    early: bool
    steps: int


def watched(script: Script, program: Program, loader: str | None) -> Ending:
    """Run a program while it is watched; whatever was put in its way is gone afterwards."""
    with Patches() as patches, ExitStack() as stack:
        watch = Watch(script, patches)
        Backward(script, patches)
        Draws(script, patches, loader)
        before = register_optimizer_step_pre_hook(watch.before_step)
        after = register_optimizer_step_post_hook(watch.after_step)
        stack.callback(before.remove)
        stack.callback(after.remove)
        script.contexts(stack)
        ends = Ends((program.folder, program.path.parent), patches)
        code, early = _ended(script, program, ends)
    gc.collect()  # loaders' workers end with their loaders
    return Ending(code, early, watch.steps)


def _ended(script: Script, program: Program, ends: Ends) -> tuple[object, bool]:
    """Run a program; return what it gave to `sys.exit`, and whether it was ended from here.

    What it does once it was told to end (a bare ``except``) says nothing of its training.
    """
    code: object = None
    try:
        try:
            run(program)
        except SystemExit as end:
            code = end.code
        if not script.over:
            ends.come()
    except (Ended, Exception):
        if not script.over:
            raise
    return (None, True) if script.over else (code, False)


def run(program: Program) -> None:
    """Run a program in this process, and set `sys` back."""
    whole = str(program.path)
    first = str(program.folder if program.module else program.path.parent)
    with Patches() as patches, ExitStack() as stack:
        patches.replace(sys, "argv", [whole, *program.arguments])
        patches.replace(sys, "path", [first, *sys.path])
        stack.enter_context(own_modules(first))
        if program.module is not None:
            runpy.run_module(program.module, run_name="__main__", alter_sys=True)
            return
        main = _main(whole)
        known = sys.modules.get("__main__")
        sys.modules["__main__"] = main
        try:
            # not by the future statements of this file, which would make texts of its annotations
            code = compile(program.path.read_bytes(), whole, "exec", dont_inherit=True)
            exec(code, vars(main))
        finally:
            if known is not None:
                sys.modules["__main__"] = known


def _main(file: str) -> ModuleType:
    made = ModuleType("__main__")
    facts: dict[str, Any] = {
        "__file__": file, "__builtins__": builtins, "__loader__": None, "__cached__": None,
    }  # fmt: skip
    vars(made).update(facts)
    return made
