"""Change a model in the middle of its training: in place, at the start of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves as leaves

from bench.errors import NotApplicable, reason_of
from bench.job import Job, Progress, deploys_what_it_trains
from bench.machine.memory import is_out_of_memory
from bench.model.inner_optimizers import apart
from bench.random_state import undisturbed
from bench.turns import parts_of

FOLLOWING = frozenset({"param_groups", "state", "defaults"})
"""What of an optimizer is pointed to other weights, or emptied, as the model is changed."""
Change = Callable[[nn.Module], None]
"""Changes a model in place: other parameters, other modules, the same object."""


def after_share(job: Job, share: float, change: Change, by: str) -> Job:
    """Return the job whose model is changed once that share of the epochs is done.

    A share that rounds to no epoch changes it at once, before there is an optimizer. Later, the
    optimizer goes on with the new parameters in their old groups, and without their old state; the
    epochs that are left are those that were planned. What was frozen stays frozen. Raises
    `NotApplicable` where the baseline deploys an average of weights, which would mix both shapes;
    and, in training, where that ends before the change.
    """
    epoch = min(round(share * job.epochs), job.epochs - 1)
    if epoch == 0:
        before = dict(job.model.named_parameters())
        _changed(job.model, change)
        _check_deployed(job)
        _lead_on(job, before)
        return job.wrap("model", lambda model: model, by=by)
    if not deploys_what_it_trains(job):
        raise NotApplicable(
            "the baseline deploys other weights than it trains (an average), which can't follow a "
            f"change of the model after {epoch} epochs; with after=0 it can, where the average is "
            "made of the changed model"
        )
    operation = _Operation(job.model, job.device, epoch, change)
    job = job.wrap("schedule", operation.schedule, by=by)
    return job.wrap("finish", operation.finish, by=by)


def _changed(model: nn.Module, change: Change) -> None:
    """Change a model; new parameters in the place of frozen ones are frozen too."""
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    change(model)
    now = dict(model.named_parameters())
    for name, old in _origins(before, now).items():
        now[name].requires_grad_(before[old])


def _lead_on(job: Job, before: Mapping[str, Parameter]) -> None:
    """Let an optimizer that was made before the change train the new weights.

    Raises `NotApplicable` where each new one is made of the weights that are gone.
    """
    now = dict(job.model.named_parameters())
    gone = {id(p): name for name, p in before.items()}.keys() - {id(p) for p in now.values()}

    def trains_what_is_gone(optimizer: object) -> bool:
        groups = getattr(optimizer, "param_groups", ())
        return any(id(p) in gone for group in groups for p in group["params"])

    made = job.make_optimizer(job.model)
    if not trains_what_is_gone(made):
        return
    point_to(made, {id(p): name for name, p in before.items()}, now)
    if trains_what_is_gone(job.make_optimizer(job.model)):
        raise NotApplicable(
            "the baseline makes its optimizer of weights that it kept, and would not train those "
            "that take their place; let make_optimizer(model) take model.parameters()"
        )


def _check_deployed(job: Job) -> None:
    """Raise `NotApplicable` where a changed model is deployed as an average of other shapes."""
    if deploys_what_it_trains(job):
        return
    trained, deployed = (
        {name: tuple(value.shape) for name, value in model.state_dict().items()}
        for model in (job.model, job.snapshot(job.model))
    )
    for name, shape in trained.items():
        if name in deployed and deployed[name] != shape:
            raise NotApplicable(
                f"the baseline deploys an average that was made before the change of the model: "
                f"{name} has the shape {deployed[name]} there, and {shape} in the changed model"
            )


class _Operation:
    """The change that waits for its epoch."""

    def __init__(self, model: nn.Module, device: torch.device, epoch: int, change: Change) -> None:
        self._model = model
        self._device = device
        self._epoch = epoch
        self._change = change
        self._done = False
        self._before: dict[str, tuple[int, ...]] = {}

    def schedule(
        self, old: Callable[[Optimizer, Progress], None]
    ) -> Callable[[Optimizer, Progress], None]:
        def schedule(optimizer: Optimizer, progress: Progress) -> None:
            if not self._done and progress.epoch >= self._epoch:
                before = {id(p): name for name, p in self._model.named_parameters()}
                self._before = _shapes(self._model)
                with undisturbed(self._device):
                    _changed(self._model, self._change)
                point_to(optimizer, before, dict(self._model.named_parameters()))
                self._done = True
            old(optimizer, progress)

        return schedule

    def finish(
        self, old: Callable[[Job, nn.Module], nn.Module]
    ) -> Callable[[Job, nn.Module], nn.Module]:
        def finish(job: Job, model: nn.Module) -> nn.Module:
            if not self._done:
                raise NotApplicable(
                    f"training ended before epoch {self._epoch}, when the model was to be changed"
                )
            now = _shapes(model)
            try:
                made = old(job, model)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                raise NotApplicable(
                    "the baseline's finish fails with the changed model, as where it restores "
                    f"weights of before the change: {reason_of(error)}"
                ) from error
            if _shapes(made) == self._before != now:
                raise NotApplicable(
                    "the baseline's finish restores a model of before the change (its best one, "
                    "say), which would be deployed in the place of the changed one"
                )
            return made

        return finish


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in model.named_parameters()}


def point_to(optimizer: Optimizer, before: Mapping[int, str], now: Mapping[str, Parameter]) -> None:
    """Replace an optimizer's parameters in `before` by those in `now` (names by id).

    A parameter stays in the group of the one that had its name, else of the one that stood in the
    same module. What the optimizer did not train before it does not train now. Raises
    `NotApplicable` where it keeps weights besides.
    """
    for one in parts_of(optimizer):
        _check_follows(one)
    if inner := apart(optimizer):
        raise NotApplicable(
            f"the baseline's optimizer lets another one step ({inner}), whose groups are not its "
            "own and can't follow a change of the model; let it have param_groups of the inner one"
        )
    groups = {
        before[id(p)]: group
        for group in optimizer.param_groups
        for p in group["params"]
        if id(p) in before
    }
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if id(p) not in before]
    for name, old in _origins(before.values(), now).items():
        if old in groups:
            groups[old]["params"].append(now[name])
    for one in parts_of(optimizer):
        one.state.clear()


def _check_follows(optimizer: Optimizer) -> None:
    """Refuse an optimizer that keeps more of the weights than its groups and state: slow ones."""
    kind = type(optimizer).__name__
    for name, value in getattr(optimizer, "__dict__", {}).items():
        if name not in FOLLOWING and any(isinstance(x, Tensor) and x.dim() for x in leaves(value)):
            raise NotApplicable(
                f"the baseline's optimizer keeps weights besides its groups ({kind}.{name}), which "
                "can't follow a change of the model"
            )


def _origins(before: Iterable[str], now: Iterable[str]) -> dict[str, str]:
    """Return for names of parameters whose place each takes: of its own name, or the nearest."""
    known, names = set(before), list(now)
    gone = [name for name in before if name not in names]
    found = {name: name if name in known else _successor_of(name, gone) for name in names}
    return {name: old for name, old in found.items() if old is not None}


def _successor_of(name: str, gone: list[str]) -> str | None:
    """Return which lost parameter a new one stands for: of the nearest module, the same kind."""
    inside = [old for old in gone if name.startswith(f"{old.rpartition('.')[0]}.")]
    leaf = name.rpartition(".")[2]
    return max(inside, key=lambda old: (old.count("."), old.endswith(leaf)), default=None)
