"""Note where a script's own files call its trained models, and make its optimizers and loaders."""

from __future__ import annotations

import ast
import functools
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter

from bench.interception.callee import UNKNOWN, standing_for
from bench.interception.calls import Call
from bench.interception.edits import Place, Source, Unsure
from bench.interception.patches import Patches
from bench.interception.pinned import can_be_pinned
from bench.interception.script import Script

HERE = str(Path(__file__).parent)
OTHER = "what is called there is no name of it, and may be what calls it"
"""Of ``list(map(model, parts))``, where the call that is being made is that of the list."""
SHARED = "the same line makes a loader that was not seen"


@dataclass(frozen=True)
class Site:
    """Where something was called; `place`: None where no file of the script's own calls it."""

    where: str
    place: Place | None = None
    unsure: str = ""
    """Why what is called there may be something else."""


@dataclass
class Made:
    """An optimizer or a loader, where it was made, and which names models had there."""

    one: Optimizer | DataLoader[Any]
    site: Site
    models: dict[str, nn.Module] = field(default_factory=dict)


@dataclass
class Sites:
    """What was seen of a script that lies in `file`, and runs in `folder`."""

    script: Script
    folder: Path
    file: Path
    calls: dict[Site, None] = field(default_factory=dict)
    """Calls of trained models for a gradient, in order."""
    optimizers: list[Made] = field(default_factory=list)
    loaders: list[Made] = field(default_factory=list)
    stepped: set[Optimizer] = field(default_factory=set)
    """Optimizers that have begun a step."""
    drawn: set[int] = field(default_factory=set)
    """Loaders that were drawn from, by id."""
    unpinnable: set[int] = field(default_factory=set)
    """Those that gave a batch which can't be pinned."""
    _callees: dict[Place, ast.expr | None] = field(default_factory=dict)
    """What is called at a place; None where the file doesn't tell."""

    def __post_init__(self) -> None:
        """Look at what the script is going to do."""
        self.script.look_at_calls(self._noting)
        self.script.look_at_optimizers(self.stepped.add)
        self.script.throughout(self._watched)
        self.script.throughout(self._drawing)

    @property
    def drawn_from(self) -> list[Made]:
        """Return the loaders at whose places one was drawn from; unsure where another was not."""
        drawn = {made.site for made in self.loaders if id(made.one) in self.drawn}
        other = {made.site for made in self.loaders if id(made.one) not in self.drawn}
        return [
            replace(made, site=replace(made.site, unsure=made.site.unsure or SHARED))
            if made.site in other else made
            for made in self.loaders if made.site in drawn
        ]  # fmt: skip

    @property
    def pinnable(self) -> list[Made]:
        """Return the loaders at whose places one was drawn from, and all batches can be pinned."""
        drawn = {made.site for made in self.loaders if id(made.one) in self.drawn}
        other = {made.site for made in self.loaders if id(made.one) in self.unpinnable}
        return [made for made in self.loaders if made.site in drawn - other]

    def _noting(self, model: nn.Module, call: Call) -> Call:
        def noted(*args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            while frame.f_back and frame.f_code.co_filename.startswith(HERE):
                frame = frame.f_back
            self.calls[self._site(frame, lambda called: called is model)] = None
            return call(*args, **kwargs)

        return noted

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Note what is made while the script runs."""
        make, load, script = Optimizer.__init__, DataLoader.__init__, self.script

        def optimizer(made: Optimizer, *args: Any, **kwargs: Any) -> None:
            make(made, *args, **kwargs)
            if not script.changing:
                frame = _maker(sys._getframe(1), made)
                site = self._site(frame, lambda called: _makes(called, made))
                self.optimizers.append(Made(made, site, _models_in(frame)))

        def loader(made: DataLoader[Any], *args: Any, **kwargs: Any) -> None:
            load(made, *args, **kwargs)
            frame = _maker(sys._getframe(1), made)
            site = self._site(frame, lambda called: _makes(called, made))
            self.loaders.append(Made(made, site))

        with Patches() as patches:
            patches.replace(Optimizer, "__init__", optimizer)
            patches.replace(DataLoader, "__init__", loader)
            yield

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Note which loaders are drawn from, and what they give."""
        begin, give = DataLoader.__iter__, _BaseDataLoaderIter.__next__
        loaders = WeakKeyDictionary[Any, int]()

        def draw(made: DataLoader[Any]) -> Any:
            self.drawn.add(id(made))
            batches = begin(made)
            loaders[batches] = id(made)
            return batches

        def batch(batches: Any) -> Any:
            found = give(batches)
            if batches in loaders and not can_be_pinned(found):
                self.unpinnable.add(loaders[batches])
            return found

        with Patches() as patches:
            patches.replace(DataLoader, "__iter__", draw)
            patches.replace(_BaseDataLoaderIter, "__next__", batch)
            yield

    def _site(self, frame: FrameType, is_it: Callable[[object], bool]) -> Site:
        """Return the site of the call that a frame is in; `is_it` tells what is to be called."""
        own = self._name(frame)
        if own is not None:
            _, line, _, column = _position(frame)
            place = None if line is None or column is None else Place(
                file=own, line=line, column=column
            )  # fmt: skip
            callee = None if place is None else self._callee(place)
            called = UNKNOWN if callee is None else standing_for(callee, frame)
            other = called is not UNKNOWN and not is_it(called)
            return Site(f"{own}, line {frame.f_lineno}", place, OTHER if other else "")
        outside, within = frame, frame.f_back
        while within is not None and (own := self._name(within)) is None:
            within = within.f_back
        there = f"{outside.f_code.co_filename}, line {outside.f_lineno}"
        by = f", called by {own}, line {within.f_lineno}" if within is not None else ""
        return Site(f"{there}{by}")

    def _callee(self, place: Place) -> ast.expr | None:
        if place not in self._callees:
            try:
                source = Source((self.folder / place.file).read_bytes())
                self._callees[place] = source.call(place).func
            except (OSError, Unsure):  # said where it is to be written
                self._callees[place] = None
        return self._callees[place]

    def _name(self, frame: FrameType) -> str | None:
        """Return the name of a frame's file from the folder; None where it lies elsewhere.

        That of a script which is started by a link is its file's.
        """
        file, home = Path(frame.f_code.co_filename), self.file.parent
        whole = Path(os.path.realpath(file))
        if whole.is_relative_to(self.folder) or whole.is_relative_to(home):
            file = whole
        name = os.path.relpath(file, self.folder)
        elsewhere = name.startswith("..") and not file.is_relative_to(home)
        return None if elsewhere or not (self.folder / name).is_file() else name


def _position(frame: FrameType) -> tuple[int | None, int | None, int | None, int | None]:
    """Return where the call that a frame is in begins and ends: lines, then columns in bytes."""
    positions = frame.f_code.co_positions()
    line, last, column, end = next(itertools.islice(positions, frame.f_lasti // 2, None))
    return line, last, column, end


def _maker(frame: FrameType, made: object) -> FrameType:
    """Return the frame that makes an object, outside of what initializes it."""
    while frame.f_back and frame.f_code.co_name == "__init__":
        first = frame.f_code.co_varnames[:1]
        if not first or frame.f_locals.get(first[0]) is not made:
            break
        frame = frame.f_back
    return frame


def _makes(called: object, made: object) -> bool:
    """Tell whether something is the class of an object, or that with some arguments given."""
    kind = called.func if isinstance(called, functools.partial) else called
    return isinstance(kind, type) and isinstance(made, kind)


def _models_in(frame: FrameType) -> dict[str, nn.Module]:
    """Return the models that have a name in a frame, or are attributes of its object."""
    known = {**frame.f_globals, **frame.f_locals}
    first = frame.f_code.co_varnames[:1]
    owner = frame.f_locals.get(first[0]) if first else None
    parts = vars(owner) if hasattr(owner, "__dict__") else {}
    inside = {f"{first[0]}.{part}": one for part, one in parts.items()} if parts else {}
    return {name: one for name, one in (known | inside).items() if isinstance(one, nn.Module)}
