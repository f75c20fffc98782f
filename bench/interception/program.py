"""Run a Python file, or a module, as `python` would: as ``__main__``, with its own arguments."""

from __future__ import annotations

import builtins
import gc
import os
import runpy
import sys
from collections.abc import Callable, Sequence
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
    """As it is started: a link to its file, maybe."""
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


def watched(script: Script, program: Program) -> Ending:
    """Run a program while it is watched; whatever was put in its way is gone afterwards."""
    with Patches() as patches, ExitStack() as stack:
        watch = Watch(script, patches)
        Backward(script, patches)
        Draws(script, patches)
        before = register_optimizer_step_pre_hook(watch.before_step)
        after = register_optimizer_step_post_hook(watch.after_step)
        stack.callback(before.remove)
        stack.callback(after.remove)
        script.contexts(stack)
        folders = program.folder, program.path.parent, program.path.resolve().parent
        ends = Ends(folders, patches)
        code, early = _ended(script, program, ends)
    gc.collect()  # loaders' workers end with their loaders
    return Ending(code, early, watch.steps)


def _ended(script: Script, program: Program, ends: Ends) -> tuple[object, bool]:
    """Run a program; return what it gave to `sys.exit`, and whether it was ended from here.

    What it does once it was told to end (a bare ``except``) says nothing of its training.
    """

    def at_end() -> None:
        ends.wait(lambda: script.over)
        if not script.over:
            ends.come()

    code: object = None
    try:
        code = run(program, at_end)
    except (Ended, Exception):
        if not script.over:
            raise
    return (None, True) if script.over else (code, False)


def run(program: Program, at_end: Callable[[], None] = lambda: None) -> object:
    """Run a program in this process, and set `sys` back; return what it gave to `sys.exit`.

    `at_end` is called while everything is as the program left it.
    """
    whole, code = str(program.path), None
    if program.module is None:
        first, named = program.path.resolve().parent, os.path.relpath(whole, program.folder)
    else:
        first, named = program.folder, whole
    with Patches() as patches, ExitStack() as stack:
        patches.replace(sys, "argv", [named, *program.arguments])
        patches.replace(sys, "path", [str(first), *sys.path])
        stack.enter_context(own_modules(str(first)))
        try:
            if program.module is not None:
                runpy.run_module(program.module, run_name="__main__", alter_sys=True)
            else:
                _execute(program.path, stack)
        except SystemExit as end:
            code = end.code
        at_end()
    return code


def _execute(path: Path, stack: ExitStack) -> None:
    """Run a file as ``__main__``, which it is until the stack is left."""
    whole, known = str(path), sys.modules.get("__main__")
    main = sys.modules["__main__"] = _main(whole)
    if known is not None:
        stack.callback(sys.modules.__setitem__, "__main__", known)
    # not by the future statements of this file, which would make texts of its annotations
    code = compile(path.read_bytes(), whole, "exec", dont_inherit=True)
    exec(code, vars(main))


def _main(file: str) -> ModuleType:
    made = ModuleType("__main__")
    facts: dict[str, Any] = {
        "__file__": file, "__builtins__": builtins, "__loader__": None, "__cached__": None,
    }  # fmt: skip
    vars(made).update(facts)
    return made
