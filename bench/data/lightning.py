"""A LightningModule with its loaders as a baseline: its steps in our loop, without its Trainer.

What a step is, is said by ``training_step`` and ``configure_optimizers``, the metric by what
``validation_step`` logs. What Lightning's Trainer alone would do, hooks and all, is refused: such a
training is measured as a script. Lightning is not imported here: the module's file does that.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from bench.baseline import Target
from bench.batches import Batch, first_size
from bench.data.loaders import FromLoaders, from_loaders
from bench.data.sampling import placing
from bench.errors import BenchError
from bench.job import Progress

SCRIPT = "measure the script that trains it, with bench script"
KEPT = frozenset({"on_validation_epoch_start", "on_validation_epoch_end"})
"""Hooks that an evaluation calls too."""
OWN = "_scheduler_of_its_own"
TAKEN = ("optimizer_step", "configure_gradient_clipping", "lr_scheduler_step", "backward",
         "transfer_batch_to_device", "optimizer_zero_grad")  # fmt: skip
"""Methods that, overridden, change what a step is."""


def as_baseline(kind: type[nn.Module], module: ModuleType) -> FromLoaders:
    """Return the baseline of a LightningModule's class; `module` is the file that defines it."""
    _check_plain(kind)
    made = kind()
    if not getattr(made, "automatic_optimization", True):
        raise BenchError(f"{kind.__name__} optimizes by hand (automatic_optimization): {SCRIPT}")
    source = _source(kind, made, module)
    target = getattr(kind, "target", None) or Target(_logged(kind))
    _, scheduler, interval = _optimizers(kind.__name__, made)

    def make_optimizer(model: Any) -> Optimizer:
        optimizer, own, _ = _optimizers(kind.__name__, model)
        vars(optimizer)[OWN] = own  # which belongs to this very optimizer
        return optimizer

    def make_scheduler(optimizer: Optimizer, progress: Progress) -> LRScheduler:
        if OWN not in vars(optimizer):
            raise BenchError(
                f"{kind.__name__}'s scheduler is of the optimizer that it makes itself"
            )
        return vars(optimizer)[OWN]  # type: ignore[no-any-return]  # the user's own

    validation = source.val_dataloader()
    parts: dict[str, Any] = {
        "make_optimizer": make_optimizer,
        "loss": _loss,
        "evaluate": lambda model: _evaluated(model, validation, target.metric),
    }
    if scheduler is not None:
        parts |= {"make_scheduler": make_scheduler, "scheduler_steps": interval}
    made_of_loaders = from_loaders(
        kind, source.train_dataloader(), validation, loss=_unused, optimizer=_unused,
        metrics={target.metric: _unused}, target=target, name=kind.__name__.lower(),
    )  # fmt: skip
    return replace(made_of_loaders, parts=parts)


def _check_plain(kind: type) -> None:
    """Refuse what the Trainer would call, and we would not."""
    own = [base for base in kind.__mro__ if not _is_library(base)]
    names = {name for base in own for name in vars(base)}
    hooks = {n for n in names if n.startswith("on_") and n not in KEPT} | (names & {*TAKEN})
    if hooks:
        raise BenchError(
            f"{kind.__name__} defines {', '.join(sorted(hooks))}, which only Lightning's Trainer "
            f"calls: {SCRIPT}"
        )


def _is_library(base: type) -> bool:
    root = base.__module__.partition(".")[0]
    return base.__name__ == "LightningModule" or root in {
        "torch", "lightning", "pytorch_lightning", "builtins",
    }  # fmt: skip


def _source(kind: type, made: Any, module: ModuleType) -> Any:
    """Return what has the loaders: the module itself, or the one DataModule of its file."""
    if any("train_dataloader" in vars(base) for base in kind.__mro__ if not _is_library(base)):
        return made
    found = [
        one for one in vars(module).values()
        if isinstance(one, type) and one.__module__ == module.__name__
        and any(base.__name__ == "LightningDataModule" for base in one.__mro__[1:])
    ]  # fmt: skip
    if len(found) != 1:
        names = ", ".join(one.__name__ for one in found) or "none"
        raise BenchError(
            f"{kind.__name__} has no train_dataloader, and of LightningDataModules its file has "
            f"{names}: there must be one, made without arguments"
        )
    data = found[0]()
    data.prepare_data()
    data.setup("fit")
    return data


def _logged(kind: type) -> str:
    """Return the metric that a validation step logs first, by its source."""
    step = getattr(kind, "validation_step", None)
    text = textwrap.dedent(inspect.getsource(step)) if step else ""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Attribute(attr="log"), args=[ast.Constant(value=str(name)), *_]):
                return name
    raise BenchError(
        f'{kind.__name__}: validation_step logs no metric by self.log("name", …); say which '
        'judges: target = bench.baseline.Target("val_acc")'
    )


def _optimizers(name: str, model: Any) -> tuple[Optimizer, LRScheduler | None, str]:
    """Return the one optimizer, its scheduler, and what that follows, of all forms there are."""
    found, schedulers = model.configure_optimizers(), []
    if isinstance(found, dict):
        found, schedulers = found["optimizer"], [found[k] for k in ["lr_scheduler"] if k in found]
    elif isinstance(found, (list, tuple)):
        pair = len(found) == 2 and isinstance(found[0], (list, tuple))
        found, schedulers = found if pair else (found, [])
    many = found if isinstance(found, (list, tuple)) else [found]
    if len(many) != 1 or len(schedulers) > 1 or not isinstance(many[0], Optimizer):
        raise BenchError(f"{name}: configure_optimizers gives no single optimizer: {SCRIPT}")
    one = schedulers[0] if schedulers else None
    how = one if isinstance(one, dict) else {"scheduler": one}
    scheduler, interval = how["scheduler"], how.get("interval", "epoch")
    if isinstance(scheduler, ReduceLROnPlateau) or how.get("frequency", 1) != 1:
        raise BenchError(
            f"{name}: its scheduler waits for a metric, or for several steps: {SCRIPT}"
        )
    return many[0], scheduler, "epoch" if interval == "epoch" else "update"


def _step(step: Callable[..., Any], batch: Batch) -> Any:
    """Call a step with a batch, and with index 0 where it takes one."""
    takes = len(inspect.signature(step).parameters) > 1
    return step(batch, 0) if takes else step(batch)


def _loss(model: Any, batch: Batch) -> Tensor:
    with _logging(model, lambda name, value: None):
        found = _step(model.training_step, batch)
    loss = found["loss"] if isinstance(found, dict) else found
    if not isinstance(loss, Tensor):
        raise BenchError(f"training_step gave {type(loss).__name__} instead of a loss: {SCRIPT}")
    return loss


@contextmanager
def _logging(model: Any, note: Callable[[str, Any], None]) -> Iterator[None]:
    """Give what a module logs to `note` for a while."""

    def log(name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        note(name, value)

    def log_dict(values: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        for name, value in values.items():
            note(name, value)

    own = vars(model)
    own["log"], own["log_dict"] = log, log_dict
    try:
        yield
    finally:
        del own["log"], own["log_dict"]


@torch.no_grad()
def _evaluated(model: Any, validation: Iterable[Batch], metric: str) -> dict[str, float]:
    """Return what a validation logs: means over items, and what torchmetrics compute."""
    model.eval()
    seen: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    computed: dict[str, Any] = {}
    items = 1

    def note(name: str, value: Any) -> None:
        if hasattr(value, "compute"):
            computed[name] = value
        else:
            seen[name].append((float(value), items))

    place = placing(next(model.parameters()).device)
    with _logging(model, note):
        for batch in map(place, validation):
            items = first_size(batch)
            _step(model.validation_step, batch)
        items = 1
        if hasattr(model, "on_validation_epoch_end"):
            model.on_validation_epoch_end()
    found = {k: sum(v * n for v, n in one) / sum(n for _, n in one) for k, one in seen.items()}
    for name, one in computed.items():
        found[name] = float(one.compute())
        one.reset()
    if metric not in found:
        known = ", ".join(found) or "nothing"
        raise BenchError(f"the validation logged {known}, not {metric}, which is to judge")
    return found


def _unused(*given: object) -> Any:
    raise AssertionError("a LightningModule says it by itself")
