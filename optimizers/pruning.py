"""Pruning: remove the least important channels for real, and fine-tune what is left.

What:    channels of convolutions and linear layers are removed together with all that depends on
         them, by the norm of their weights; the model becomes a smaller dense one. It happens after
         a share of the epochs, the rest of which fine-tune it: no epoch is added.
Helps:   convolutional nets with channels to spare: inference and the epochs after the removal take
         less time, the file less space.
Hurts:   quality, most where few epochs are left; the optimizer forgets its momentum at the removal.
         FLOPs of a step are told of the model before it. Models that can't be traced (recurrent
         layers, nn.TransformerEncoder), or that shuffle channels, are refused.
Effect:  model.
Source:  Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023 (torch-pruning); Li et
         al., Pruning Filters for Efficient ConvNets, ICLR 2017, for the norm as importance.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from bench.errors import NotApplicable
from bench.job import Job
from bench.model.calls import by_position
from bench.model.copies import copied
from bench.model.nested import tensors_in
from bench.model.outputs import objection
from bench.model.surgery import after_share
from bench.model.train_mode import evaluating
from bench.model.wiring import misread
from bench.random_state import undisturbed
from bench.technique import Effect, Stage, Technique
from bench.trial.flops import forward_flops

FINENESS = 50
"""In so many rounds channels are removed until a target of FLOPs is met."""
MOST = 0.95
"""No more than this share of a layer's channels is removed for a target of FLOPs."""
UNTRACED = (nn.RNNBase, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
Inputs = tuple[object, ...]


class Pruning(Technique):
    """Remove channels once, in the midst of training."""

    name: ClassVar[str] = "pruning"
    stage: ClassVar[Stage] = Stage.MODEL
    effect: ClassVar[Effect] = Effect.MODEL
    conflicts: ClassVar[frozenset[str]] = frozenset({"early-stopping"})  # it restores old shapes

    ratio: float = Field(
        0.5, gt=0, lt=1, description="share of each layer's channels removed",
        json_schema_extra={"range": [0.3, 0.5, 0.7]},
    )  # fmt: skip
    flops: float | None = Field(
        None, gt=0, lt=1, description="share of a forward pass's FLOPs to keep, in place of ratio"
    )
    after: float = Field(
        0.5, ge=0, lt=1, description="share of the epochs before the removal; 0: prune at once"
    )

    def apply(self, job: Job) -> Job:
        """Try it on a copy, so that a refusal comes before training, then wait for the epoch."""
        inputs = by_position(job.model, job.sample(2))
        if said := objection(job, inputs):
            raise NotApplicable(f"the model does not take its own sample: {said}")
        with undisturbed(job.device):
            self._prune(copied(job.model), inputs)
            moved = misread(job.model, inputs, lambda model: self._prune(model, inputs))
        if moved:
            raise NotApplicable(
                f"the model puts channels in other places ({moved}), and of fewer channels layers "
                "would read others than they were trained on"
            )
        return after_share(job, self.after, lambda model: self._prune(model, inputs), by=self.name)

    def _prune(self, model: nn.Module, inputs: Inputs) -> None:
        """Remove channels in place; raise `NotApplicable` where that changes nothing, or more."""
        for module in model.modules():
            if isinstance(module, UNTRACED):
                raise NotApplicable(
                    f"the model has a {type(module).__name__}, whose channels can't be traced"
                )
        before, shapes, tied = _parameters(model), _shapes(model, inputs), _tied(model)
        doing = "torch-pruning can't follow this model"
        try:
            with evaluating(model):
                self._remove(model, inputs)
                doing = (
                    "the model does not run with fewer channels (its input's may be tied to them)"
                )
                found = _shapes(model, inputs)
        except (NotApplicable, torch.OutOfMemoryError):
            raise
        except Exception as error:  # torch-pruning and the model it cut raise anything
            said = (str(error).strip().splitlines() or [""])[0][:120]
            raise NotApplicable(f"{doing}: {type(error).__name__}: {said}") from error
        if found != shapes:
            raise NotApplicable(f"pruning would change the output's shape {shapes} to {found}")
        if apart := next((names for names in tied if not _is_one(model, names)), None):
            raise NotApplicable(
                f"{' and '.join(apart)} are one weight, and would be two afterwards"
            )
        if _parameters(model) == before:
            asked = f"flops={self.flops}" if self.flops else f"ratio={self.ratio}"
            raise NotApplicable(f"{asked} removes no channel: the layers are too narrow for it")

    def _remove(self, model: nn.Module, inputs: Inputs) -> None:
        import torch_pruning as tp

        rounds = FINENESS if self.flops else 1
        with torch.enable_grad():
            pruner = tp.pruner.BasePruner(
                model, inputs, importance=tp.importance.GroupMagnitudeImportance(p=2),
                pruning_ratio=MOST if self.flops else self.ratio, iterative_steps=rounds,
                ignored_layers=_heads(model, inputs),
            )  # fmt: skip
        whole = forward_flops(model, inputs) if self.flops else 0
        for _ in range(rounds):
            pruner.step()
            if self.flops and forward_flops(model, inputs) <= self.flops * whole:
                return
        if self.flops:
            left = forward_flops(model, inputs) / whole
            raise NotApplicable(
                f"{left:.0%} of the FLOPs are left with {MOST:.0%} of the channels removed: "
                f"flops={self.flops} can't be met"
            )


def _heads(model: nn.Module, inputs: Inputs) -> list[nn.Module]:
    """Return the layers that make the model's output, whose width is not ours to change."""
    import torch_pruning as tp

    graph = tp.DependencyGraph().build_dependency(model, example_inputs=inputs)
    nodes = [node for node in graph.module2node.values() if not node.outputs]
    heads: dict[int, nn.Module] = {}
    seen: set[int] = set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node.module, nn.Linear | nn.modules.conv._ConvNd):
            heads[id(node.module)] = node.module
        else:
            nodes += node.inputs
    return list(heads.values())


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _tied(model: nn.Module) -> list[list[str]]:
    """Return the names of each parameter that has several."""
    names: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
    return [several for several in names.values() if len(several) > 1]


def _is_one(model: nn.Module, names: list[str]) -> bool:
    return len({id(model.get_parameter(name)) for name in names}) == 1


def _shapes(model: nn.Module, inputs: Inputs) -> list[tuple[int, ...]]:
    with torch.no_grad(), evaluating(model):
        return [tuple(part.shape) for part in tensors_in(model(*inputs))]
