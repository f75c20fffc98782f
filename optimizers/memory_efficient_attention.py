"""Memory-efficient attention: never hold the whole matrix of attention weights.

What:    attention written out as softmax(q k' * scale) v, its scores masked_fill'ed or not, in the
         traced code of the model's modules, and nn.MultiheadAttention whose weights nobody uses,
         become scaled_dot_product_attention, unless the model's outputs of a sample change, with
         its weights as they are and with others.
Helps:   long sequences: memory grows with the length instead of its square.
Hurts:   short ones, where the plain form is as fast. With dropout other random numbers are drawn;
         on the CPU the saving form has no dropout, so such attention is left alone there.
Effect:  rounding.
Source:  Dao et al., FlashAttention, NeurIPS 2022; torch SDPA and torch.fx documentation.
"""

from __future__ import annotations

import copy
import functools
import inspect
import operator
import random
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from bench.batches import Outputs
from bench.errors import NotApplicable
from bench.job import Job
from bench.model.calls import Call, ask
from bench.model.nested import tensors_in
from bench.model.outputs import FAILURES
from bench.model.untouched import untouched
from bench.model.varied import varied
from bench.random_state import undisturbed
from bench.technique import PASSES, Effect, Parts, Stage, Technique

Answer = list[Tensor] | None
"""Of a model to its sample; None where it fails."""
OTHERS = 2
"""With so many other weights answers are compared."""
CLOSE = 1e-3
LEAST = -1e4
"""A score as low as this, or lower, has no weight at all, whether it is put in a score's place or
added to it."""
PRODUCTS = (torch.matmul, torch.bmm, operator.matmul, "matmul", "bmm")
SCALINGS = (operator.mul, torch.mul, "mul", operator.truediv, torch.div, "div")
SOFTMAXES = (torch.softmax, F.softmax, "softmax", nn.Softmax)
KEPT = (dict, list)
NUMBERS = (bool, int, float, str)
CONSTANT = "_tensor_constant"
"""So torch.fx begins the names of attributes that it gives a module."""
MULTIHEAD = inspect.signature(nn.MultiheadAttention.forward)


class MemoryEfficientAttention(Technique):
    """Put scaled_dot_product_attention in the place of attention written out."""

    name: ClassVar[str] = "memory-efficient-attention"
    stage: ClassVar[Stage] = Stage.MODEL
    effect: ClassVar[Effect] = Effect.ROUNDING
    touches: ClassVar[Parts | None] = PASSES

    def apply(self, job: Job) -> Job:
        """Change the class of the modules in place, so that names and weights stay as they are."""
        before, calls = _answers(job), _observed(job)[1]
        if before[0] is None or not any(map(_tells, before)):
            raise NotApplicable(
                "the model does not take its own sample, or answers it with no number: nothing can "
                "be compared"
            )
        replaced: set[nn.Module] = set()
        for module in reversed(list(job.model.modules())):  # the innermost first
            if module not in calls or replaced & set(module.modules()):
                continue
            kind, new = type(module), _replacement(module, calls[module], job.device.type)
            if new is None:
                continue
            module.__class__ = type(kind.__name__, (kind,), {"forward": new})
            if all(map(_near, _answers(job), before)):
                replaced.add(module)
            else:
                module.__class__ = kind
        if not replaced:
            raise NotApplicable(
                "no attention to replace: no traceable softmax(q k' * scale) v (on the CPU: without"
                " dropout), and no nn.MultiheadAttention that returns weights nobody uses"
            )
        return job.wrap("model", lambda model: model, self.name).relying(replaced, self.name)


def _answers(job: Job) -> list[Answer]:
    """Return the model's answers to a sample, with its weights and with others.

    A head of zeros, or small weights, would answer the same whatever attention computes.
    """
    found = [_observed(job)[0]]
    for seed in range(OTHERS):
        with varied(job.model, seed):
            found.append(_observed(job)[0])
    return found


def _tells(answer: Answer) -> bool:
    """Tell whether there is any number in an answer that another can be compared with."""
    return answer is not None and any(bool(part.isfinite().any()) for part in answer)


def _near(one: Answer, other: Answer) -> bool:
    """Tell whether an answer is another but for rounding; whatever it is where there was none."""
    if other is None or not _tells(other):
        return True
    return one is not None and len(one) == len(other) and all(map(_close, one, other))


def _close(one: Tensor, other: Tensor) -> bool:
    """Tell whether numbers are near, and what is infinite or none is so in both."""
    if one.shape != other.shape or one.dtype != other.dtype or other.numel() == 0:
        return one.shape == other.shape and one.dtype == other.dtype
    sizes = (other if other.is_complex() else other.double()).abs()
    near = CLOSE * float(torch.where(other.isfinite(), sizes, 0.0).max())
    return torch.allclose(one, other, rtol=CLOSE, atol=max(near, 1e-5), equal_nan=True)


def _observed(job: Job) -> tuple[list[Tensor] | None, dict[nn.Module, Call]]:
    """Run a sample in eval mode; return what came out, and how each module was called."""
    calls: dict[nn.Module, Call] = {}

    def note(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        calls[module] = args, kwargs

    heard = [m for m in job.model.modules() if not isinstance(m, torch.jit.ScriptModule)]
    hooks = [m.register_forward_pre_hook(note, with_kwargs=True) for m in heard]
    try:
        with torch.no_grad(), undisturbed(job.device), untouched(job.model):
            return tensors_in(ask(job.model.eval(), job.sample(2))), calls
    except FAILURES:  # weights that were used after all, and are gone
        return None, calls
    finally:
        job.model.train()  # modules are traced as they train
        for hook in hooks:
            hook.remove()


def _replacement(module: nn.Module, call: Call, device: str) -> Callable[..., Outputs] | None:
    """Return a new forward of a module; None where there is nothing to replace in it."""
    if isinstance(module, nn.MultiheadAttention):
        wanted = MULTIHEAD.bind(module, *call[0], **call[1]).arguments.get("need_weights", True)
        return _without_weights if wanted and not (device == "cpu" and module.dropout) else None
    if type(module).__module__.startswith("torch."):
        return None
    graph = _traced(module)
    if graph is None:
        return None
    found = [_rewrite(module, graph, node, device) for node in [*graph.nodes]]
    if not any(found):
        return None
    return _while_the_same(module, type(fx.GraphModule(module, graph)).forward)


def _while_the_same(module: nn.Module, traced: Callable[..., Outputs]) -> Callable[..., Outputs]:
    """Return a traced forward that gives way to the module's own where numbers were changed since.

    A trace holds them, such as a temperature that a schedule lowers, as constants.
    """
    own, numbers = type(module).forward, _numbers(module)

    @functools.wraps(own)
    def forward(self: nn.Module, *args: object, **kwargs: object) -> Outputs:
        for path, name, value in numbers:
            now = getattr(self.get_submodule(path), name, None)
            if not isinstance(now, NUMBERS) or now != value:
                return own(self, *args, **kwargs)
        return traced(self, *args, **kwargs)

    return forward


def _numbers(module: nn.Module) -> list[tuple[str, str, object]]:
    """Return numbers, but for the mode, of a module and those inside that aren't torch's."""
    return [
        (path, name, value)
        for path, part in module.named_modules()
        if not type(part).__module__.startswith("torch.")
        for name, value in {**vars(type(part)), **vars(part)}.items()
        if isinstance(value, NUMBERS) and name != "training" and not name.startswith("__")
    ]


class _Tracer(fx.Tracer):
    """Traces what is computed of buffers too, which would be constants."""

    proxy_buffer_attributes: bool = True


def _traced(module: nn.Module) -> fx.Graph | None:
    """Return a module's graph; None where there is none, or tracing changes what the module keeps.

    A graph does not set attributes, nor draw numbers that the code draws: what it notes in them
    would be lost. It is traced in training mode: what depends on the mode fails the comparison,
    made in eval mode.
    """
    places = [vars(part) for part in module.modules()]
    kept = [(x, copy.copy(x)) for one in places for x in (one, *one.values()) if type(x) in KEPT]
    held = (x for place, _ in kept for x in (place.values() if type(place) is dict else place))
    tensors = [x for x in held if isinstance(x, Tensor)]
    versions = [x._version for x in tensors]
    with undisturbed(torch.device("cpu")), untouched(module):
        drawn = _drawn()
        try:
            graph = _Tracer().trace(module)
        except FAILURES:  # what a module says to symbols in the place of its inputs, or torch.fx
            graph = None
        changed = [pair for pair in kept if not _same(*pair)]
        for place, was in changed:
            place.clear()
            (place.update if isinstance(place, dict) else place.extend)(was)
        if changed or versions != [x._version for x in tensors] or drawn != _drawn():
            return None
        constants = {k: v for k, v in vars(module).items() if k.startswith(CONSTANT)}
    vars(module).update(constants)  # which the graph reads
    return graph


def _drawn() -> tuple[object, ...]:
    """Return where the random generators stand."""
    return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())


def _same(place: Any, was: Any) -> bool:
    """Tell whether a list or dict holds what it held, constants of the tracer's aside."""
    if isinstance(place, dict):
        place = {k: v for k, v in place.items() if not str(k).startswith(CONSTANT)}
        return place.keys() == was.keys() and all(place[key] is was[key] for key in was)
    return len(place) == len(was) and all(map(operator.is_, place, was))


def _without_weights(*args: object, **kwargs: object) -> Outputs:
    arguments = MULTIHEAD.bind(*args, **kwargs).arguments | {"need_weights": False}
    return nn.MultiheadAttention.forward(**arguments)


def _rewrite(module: nn.Module, graph: fx.Graph, end: fx.Node, device: str) -> bool:
    """Replace the attention that ends in the product `end`; tell whether there was one."""
    chain: list[Any] = [end]
    dropout, mask = None, (None, 0.0)

    def last_is(*kinds: object) -> bool:
        op, target = getattr(chain[-1], "op", ""), getattr(chain[-1], "target", None)
        found = type(module.get_submodule(str(target))) if op == "call_module" else target
        return op.startswith("call") and found in kinds and len(chain[-1].args) > 0

    if not last_is(*PRODUCTS):
        return False
    chain.append(end.args[0])
    if last_is(nn.Dropout):
        dropout = chain[-1].target
        chain.append(chain[-1].args[0])
    if not last_is(*SOFTMAXES):
        return False
    chain.append(chain[-1].args[0])
    if last_is(torch.masked_fill, "masked_fill"):
        mask = chain[-1].args[1:]
        if not (len(mask) == 2 and isinstance(mask[1], int | float) and mask[1] <= LEAST):
            return False
        chain.append(chain[-1].args[0])
    start = len(chain) - 1
    while last_is(*SCALINGS):
        chain.append(chain[-1].args[0])
    if not last_is(*PRODUCTS) or any(len(node.users) > 1 for node in chain[1:]):
        return False
    if dropout and device == "cpu" and module.get_submodule(dropout).p:
        return False
    query, key = chain[-1].args
    with graph.inserting_before(end):
        for node in chain[start:-1]:  # queries are scaled: a factor may not be a number yet
            query = graph.create_node(node.op, node.target, (query, node.args[1]))
        parts = query, key, end.args[1], graph.get_attr(dropout) if dropout else None, *mask
        end.replace_all_uses_with(graph.call_function(attend, parts))
    for node in chain:
        graph.erase_node(node)
    return True


def attend(
    query: Tensor, key: Tensor, value: Tensor, dropout: nn.Dropout | None, hidden: Tensor | None,
    fill: float,
) -> Tensor:  # fmt: skip
    """Return softmax(query key) value; the saving kernels want 4 dims, with one of heads."""
    q, k, v = (p.unsqueeze(1) if p.dim() == 3 else p for p in (query, key.mT, value))
    share = dropout.p if dropout is not None and dropout.training else 0.0
    bias = None if hidden is None else q.new_zeros(hidden.shape).masked_fill(hidden, fill)
    if bias is not None and query.dim() == bias.dim() == 3:
        bias = bias.unsqueeze(1)
    found = F.scaled_dot_product_attention(q, k, v, bias, dropout_p=share, scale=1.0)
    return found.squeeze(1) if query.dim() == 3 else found
