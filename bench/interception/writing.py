"""What techniques would have written into a script, at the places that were seen of it.

The counterpart of `Script`: what `Technique.intercept` does to a running script, `Technique.write`
says in lines. Text in braces, ``{model}``, stands for the name that a model has at the place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from pydantic import BaseModel
from torch import nn
from torch.optim import Optimizer

from bench.errors import NotApplicable
from bench.interception.edits import Edit, Place, Written
from bench.interception.sites import Made, Sites
from bench.interception.unreached import unreached


@dataclass
class Writing:
    """What is to be written into a script, as techniques say it in turn."""

    sites: Sites
    settings: BaseModel
    """The recipe's: what a technique's search has found stands there."""
    main: str
    """The script's file."""
    _edits: dict[Edit, None] = field(default_factory=dict)
    _around: dict[Edit, None] = field(default_factory=dict)
    _left: dict[str, None] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Return where the script trains."""
        return self.sites.script.device

    def at_start(self, lines: str, by: str) -> None:
        """Write lines after the script's imports."""
        top = Place(file=self.main, line=1, column=0)
        self._add(Edit(by=by, kind="start", place=top, where=f"{self.main}, line 1", text=lines))

    def each_model(self, lines: Callable[[nn.Module], str | None], helper: str, by: str) -> None:
        """Write lines for each trained model where it has a name and its optimizer was made."""
        for model in self.sites.script.models:
            text = lines(model)
            if text is None:
                continue
            made, name = self._named(model)
            where = made.site if made else next(iter(self.sites.calls))
            self._add(Edit(
                by=by, kind="after", place=where.place if made else None, helper=helper,
                where=where.where if made else f"before the first call of {name}: {where.where}",
                text=text.replace("{model}", name),
            ))  # fmt: skip

    def call_instead(self, name: str, helper: str, by: str) -> None:
        """Call ``name(model)(...)`` for ``model(...)``, where it is for a gradient.

        What `around_calls` was told is around it. `helper` defines the function, and holds what it
        imports.
        """
        self._calls(self._edits, name, helper, by)

    def around_calls(self, name: str, helper: str, by: str) -> None:
        """Call ``name(model)(...)`` for ``model(...)``, around all other that is done to it."""
        self._calls(self._around, name, helper, by)

    def each_optimizer(
        self, by: str, given: Mapping[str, str] | None = None, **arguments: str
    ) -> None:
        """Give every optimizer arguments where it is made; those in `given` where it has them.

        One that takes no such argument is left as it is.
        """
        self._arguments(self.sites.optimizers, arguments, by)
        self._arguments(self.sites.optimizers, given or {}, by, given=True)

    def each_loader(self, by: str, **arguments: str) -> None:
        """Give DataLoaders arguments where they are made, all that were seen to be drawn from."""
        self._arguments(self._loaders(), arguments, by)

    def pin_loaders(self, by: str) -> None:
        """Let DataLoaders pin what they give: all at whose places one was seen to be drawn from.

        To pin what others of the same place give changes no number of it.
        """
        if self.sites.loaders and not self.sites.pinnable:
            raise NotApplicable("no DataLoader was seen to give batches that can be pinned")
        self._arguments(self.sites.pinnable, {"pin_memory": "True"}, by)

    def say(self, text: str, by: str) -> None:
        """Say something beside the lines."""
        self._left[f"{by}: {text}"] = None

    def loaders_instead(self, name: str, helper: str, by: str) -> None:
        """Make loaders by ``name(DataLoader)(...)``, all that were seen to be drawn from."""
        for made in self._loaders():
            self._add(Edit(
                by=by, kind="callee", place=made.site.place, where=made.site.where, name=name,
                helper=helper, unsure=made.site.unsure,
            ))  # fmt: skip

    def written(self, refused: dict[str, str], steps: int) -> Written:
        """Return all that is to be written, after so many steps were seen.

        `refused`: what said why it has no lines.
        """
        edits = (*self._edits, *self._around)
        others = unreached(self.sites.folder, edits)
        return Written(
            edits=edits, refused=refused, left=tuple(self._left), unreached=others, steps=steps
        )

    def _loaders(self) -> list[Made]:
        """Return loaders that may be changed: what others draw at random, nobody has seen."""
        if self.sites.loaders and not self.sites.drawn_from:
            raise NotApplicable("the first steps were seen to draw from no DataLoader")
        return self.sites.drawn_from

    def _calls(self, edits: dict[Edit, None], name: str, helper: str, by: str) -> None:
        for site in self.sites.calls:
            edits[Edit(
                by=by, kind="callee", place=site.place, where=site.where, name=name, helper=helper,
                unsure=site.unsure,
            )] = None  # fmt: skip

    def _arguments(
        self, all_made: list[Made], arguments: Mapping[str, str], by: str, given: bool = False
    ) -> None:
        if not all_made:
            raise NotApplicable("none is made in the first steps")
        for made in all_made:
            known = inspect.signature(type(made.one)).parameters
            for name, value in arguments.items():
                kind = type(made.one).__name__
                taken = name in known or any(one.kind is one.VAR_KEYWORD for one in known.values())
                if not taken and isinstance(made.one, Optimizer):
                    if not given:
                        self._left[f"{by}: {made.site.where} stays: {kind} has no {name}"] = None
                    continue
                self._add(Edit(
                    by=by, kind="keyword", place=made.site.place, where=made.site.where, name=name,
                    text=value, position=[*known].index(name) if name in known else None,
                    given=given, unsure=self._unsure(made) if taken else f"{kind} has no {name}",
                ))  # fmt: skip

    def _unsure(self, made: Made) -> str:
        """Return why it is not sure that what was made is to be changed where it is made."""
        if isinstance(made.one, Optimizer) and made.one not in self.sites.stepped:
            return made.site.unsure or "it makes no step of its own among those that were seen"
        return made.site.unsure

    def _named(self, model: nn.Module) -> tuple[Made | None, str]:
        """Return where a model has a name and an optimizer is made; its class where nowhere."""
        for made in self.sites.optimizers:
            for name, one in made.models.items():
                if one is model:
                    return made, name
        return None, f"the {type(model).__name__}"

    def _add(self, edit: Edit) -> None:
        self._edits[edit] = None
