"""Note where a script's own files call its trained models, and make its optimizers and loaders."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from bench.interception.calls import Call
from bench.interception.edits import Place
from bench.interception.patches import Patches
from bench.interception.script import Script

HERE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Site:
    """Where something was called; `place`: None where no file of the script's own calls it."""

    where: str
    place: Place | None = None


@dataclass
class Made:
    """An optimizer or a loader, where it was made, and which names models had there."""

    one: Optimizer | DataLoader[Any]
    site: Site
    models: dict[str, nn.Module] = field(default_factory=dict)


@dataclass
class Sites:
    """What was seen of a script that lies in `home`, and runs in `folder`."""

    script: Script
    folder: Path
    home: Path
    calls: dict[Site, None] = field(default_factory=dict)
    """Calls of trained models for a gradient, in order."""
    optimizers: list[Made] = field(default_factory=list)
    loaders: list[Made] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Look at what the script is going to do."""
        self.script.look_at_calls(self._noting)
        self.script.throughout(self._watched)

    def _noting(self, model: nn.Module, call: Call) -> Call:
        def noted(*args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            while frame.f_back and frame.f_code.co_filename.startswith(HERE):
                frame = frame.f_back
            self.calls[self._site(frame)] = None
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
                self.optimizers.append(Made(made, self._site(frame), _models_in(frame)))

        def loader(made: DataLoader[Any], *args: Any, **kwargs: Any) -> None:
            load(made, *args, **kwargs)
            self.loaders.append(Made(made, self._site(_maker(sys._getframe(1), made))))

        with Patches() as patches:
            patches.replace(Optimizer, "__init__", optimizer)
            patches.replace(DataLoader, "__init__", loader)
            yield

    def _site(self, frame: FrameType) -> Site:
        """Return the site of the call that a frame is in."""
        own = self._name(frame)
        if own is not None:
            _, line, _, column = _position(frame)
            place = None if line is None or column is None else Place(
                file=own, line=line, column=column
            )  # fmt: skip
            return Site(f"{own}, line {frame.f_lineno}", place)
        outside, within = frame, frame.f_back
        while within is not None and (own := self._name(within)) is None:
            within = within.f_back
        called = f"{outside.f_code.co_filename}, line {outside.f_lineno}"
        by = f", called by {own}, line {within.f_lineno}" if within is not None else ""
        return Site(f"{called}{by}")

    def _name(self, frame: FrameType) -> str | None:
        """Return the name of a frame's file from the folder; None where it lies elsewhere."""
        file = frame.f_code.co_filename
        name = os.path.relpath(file, self.folder)
        elsewhere = name.startswith("..") and not Path(file).is_relative_to(self.home)
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


def _models_in(frame: FrameType) -> dict[str, nn.Module]:
    """Return the models that have a name in a frame, or are attributes of its object."""
    known = {**frame.f_globals, **frame.f_locals}
    first = frame.f_code.co_varnames[:1]
    owner = frame.f_locals.get(first[0]) if first else None
    parts = vars(owner) if hasattr(owner, "__dict__") else {}
    inside = {f"{first[0]}.{part}": one for part, one in parts.items()} if parts else {}
    return {name: one for name, one in (known | inside).items() if isinstance(one, nn.Module)}
