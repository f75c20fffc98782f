"""memory-efficient-attention: which modules it recognises, and that they compute the same."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from bench.errors import NotApplicable
from bench.job import Job
from optimizers.memory_efficient_attention import MemoryEfficientAttention
from tests.jobs import job_of

T, C = 5, 8


class Written(nn.Module):
    """Attention with projections; `mix` says how it is written out."""

    def __init__(self, mix: Callable[..., Tensor], dropout: float = 0.0) -> None:
        super().__init__()
        self.mix = mix
        self.query, self.key, self.value = (nn.Linear(C, C) for _ in range(3))
        self.softmax, self.dropout = nn.Softmax(dim=-1), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, C)`` to the same shape."""
        return self.mix(self, self.query(x), self.key(x), self.value(x))


def plain(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(1, 2) / C**0.5, dim=-1) @ v


def by_module_and_dropout(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    found: Tensor = m.dropout(m.softmax(torch.bmm(q, k.permute(0, 2, 1)) * q.shape[-1] ** -0.5))
    return torch.bmm(found, v)


def causal(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    hidden = torch.ones(T, T).triu(1) == 1
    scores = (q @ k.transpose(1, 2) * 0.4).masked_fill(hidden, -torch.inf)
    return torch.softmax(scores, dim=-1) @ v


def by_methods(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.softmax(q.matmul(k.mT).mul(0.5).div(2), -1).matmul(v)


def in_heads(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (part.view(part.shape[0], T, 2, C // 2).transpose(1, 2) for part in (q, k, v))
    mixed = (q @ k.transpose(-2, -1) * 0.5).softmax(dim=-1) @ v
    return mixed.transpose(1, 2).reshape(q.shape[0], T, C)


def scaled_before(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q * 0.3) @ k.transpose(1, 2)).softmax(-1) @ v


class Model(nn.Module):
    """A mixing layer, then classes."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(C, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, C)`` to ``(B, 2)``."""
        found: Tensor = self.head(self.layer(x).mean(1))
        return found


def job(layer: nn.Module) -> Job:
    x = torch.randn(16, T, C, generator=torch.Generator().manual_seed(0))
    return job_of(Model(layer), x, (x.mean((1, 2)) > 0).long())


class Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts calls of the memory-saving kernel."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += int("scaled_dot_product_flash_attention" in str(func))
        return func(*args, **(kwargs or {}))


def kernels(model: nn.Module, x: Tensor) -> int:
    """Return how many memory-saving kernels a forward pass runs."""
    with Calls() as calls:
        model(x)
    return int(calls.count)


FORMS = [plain, by_module_and_dropout, by_methods, causal, in_heads, scaled_before]


@pytest.mark.parametrize("mix", FORMS, ids=lambda f: f.__name__)
def test_attention_written_out_computes_the_same_values_and_gradients(
    mix: Callable[..., Tensor],
) -> None:
    old = job(Written(mix))
    new = MemoryEfficientAttention().apply(replace(old, model=copy.deepcopy(old.model)))
    (x,) = old.sample(4)
    assert kernels(new.model, x) == 1
    assert kernels(old.model, x) == 0
    for model in (old.model, new.model):
        model(x).square().sum().backward()
    assert torch.allclose(new.model(x), old.model(x), atol=1e-6)
    for one, other in zip(new.model.parameters(), old.model.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, atol=1e-5)


def test_the_module_keeps_its_class_and_its_names() -> None:
    old = job(Written(plain))
    new = MemoryEfficientAttention().apply(job(Written(plain)))
    assert isinstance(new.model.layer, Written)
    assert list(new.model.state_dict()) == list(old.model.state_dict())


def weights_kept(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.softmax(q @ k.transpose(1, 2), dim=-1)
    return weights @ v + weights.sum(-1, keepdim=True)


def over_the_wrong_dim(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(1, 2), dim=1) @ v


def masked(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    mask = torch.triu(torch.full((T, T), -1e9), 1)
    return torch.softmax(q @ k.transpose(1, 2) + mask, dim=-1) @ v


def no_softmax(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.sigmoid(q @ k.transpose(1, 2)) @ v


def untraceable(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if q.sum() > 0:
        return plain(m, q, k, v)
    return v


def decorated(forward: Any) -> Any:
    """Return a forward that takes anything, as transformers wraps its own."""

    @functools.wraps(forward)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        return forward(self, *args, **kwargs)

    return wrapped


class Decorated(Written):
    """Attention whose code takes fewer arguments than it says: torch.fx raises ValueError."""

    @decorated
    def forward(
        self, x: Tensor, mask: Tensor | None = None, again: Tensor | None = None, **more: Any
    ) -> Tensor:
        """Map ``(B, T, C)`` to the same shape."""
        return super().forward(x)


@pytest.mark.parametrize(
    "layer",
    [
        *(Written(f) for f in (weights_kept, over_the_wrong_dim, masked, no_softmax, untraceable)),
        Written(by_module_and_dropout, dropout=0.1),
        nn.Linear(C, C),
        nn.TransformerEncoderLayer(C, 2, C, batch_first=True),
    ],
    ids=[
        "weights used",
        "wrong dim",
        "masked",
        "sigmoid",
        "control flow",
        "dropout",
        "none",
        "already",
    ],
)
def test_what_is_something_else_is_left_alone_and_said(layer: nn.Module) -> None:
    given = job(layer)
    (x,) = given.sample(4)
    kind, before = type(layer), given.model.eval()(x)
    with pytest.raises(NotApplicable, match="no attention to replace: "):
        MemoryEfficientAttention().apply(given)
    assert type(layer) is kind
    assert torch.equal(given.model.eval()(x), before)


def test_a_layer_that_torch_fx_raises_at_is_passed_over() -> None:
    with pytest.raises(ValueError, match="co_varnames is too small"):
        torch.fx.symbolic_trace(Decorated(plain))
    given = job(Decorated(plain))
    x = given.sample(4)
    before = given.model.eval()(*x)
    made = MemoryEfficientAttention().apply(given)  # what it stands in can be traced
    assert torch.allclose(made.model.eval()(*x), before, atol=1e-6)


class Heads(nn.Module):
    """nn.MultiheadAttention as most people call it; `use` looks at the weights."""

    def __init__(self, use: bool = False) -> None:
        super().__init__()
        self.inner, self.use = nn.MultiheadAttention(C, 2, batch_first=True), use

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, C)`` to the same shape."""
        found, weights = self.inner(x, x, x)
        return found * weights.sum() if self.use else found  # type: ignore[no-any-return]


def test_multihead_attention_no_longer_makes_weights_that_nobody_uses() -> None:
    old = job(Heads())
    new = MemoryEfficientAttention().apply(replace(old, model=copy.deepcopy(old.model)))
    (x,) = old.sample(4)
    assert kernels(new.model, x) == 1
    assert kernels(old.model, x) == 0
    assert torch.allclose(new.model(x), old.model(x), atol=1e-6)


def test_weights_that_are_used_stay() -> None:
    given = job(Heads(use=True))
    with pytest.raises(NotApplicable):
        MemoryEfficientAttention().apply(given)
    given.model(*given.sample(2))


class Legal(Model):
    """A model whose second class may never be chosen."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T, C)`` to ``(B, 2)``."""
        never = torch.zeros(len(x), 2, dtype=torch.bool)
        never[:, 1] = True
        return super().forward(x).masked_fill(never, -torch.inf)


class Said:
    """A plain object."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Spoken(Model):
    """A model that answers with a plain object."""

    def forward(self, x: Tensor) -> Any:
        """Map ``(B, T, C)`` to ``(B, 2)``."""
        return Said(super().forward(x))


class Texts(Model):
    """A model that answers with what is no tensor."""

    def forward(self, x: Tensor) -> Any:
        """Map ``(B, T, C)`` to texts."""
        return [str(row) for row in super().forward(x)]


def always_dropped(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return plain(m, q, k, F.dropout(v, 0.5, training=m.training))


@pytest.mark.parametrize("mix", [over_the_wrong_dim, always_dropped], ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", [Legal, Spoken])
def test_answers_that_are_partly_infinite_or_plain_objects_are_compared(
    kind: type[Model], mix: Callable[..., Tensor]
) -> None:
    given = job(Written(mix))
    with pytest.raises(NotApplicable, match="no attention to replace: "):
        MemoryEfficientAttention().apply(replace(given, model=kind(Written(mix))))
    made = MemoryEfficientAttention().apply(replace(given, model=kind(Written(plain))))
    assert kernels(made.model, *given.sample(4)) == 1


def test_a_model_that_answers_with_no_number_can_not_be_compared() -> None:
    given = job(Written(plain))
    with pytest.raises(NotApplicable, match="answers it with no number: nothing can be compared"):
        MemoryEfficientAttention().apply(replace(given, model=Texts(Written(plain))))


class Kept(Written):
    """Attention with a temperature, and buffers: a mask, and how often it was asked."""

    asked: Tensor
    hidden: Tensor

    def __init__(self, mix: Callable[..., Tensor]) -> None:
        super().__init__(mix)
        self.temperature = 1.0
        self.register_buffer("asked", torch.zeros(()))
        self.register_buffer("hidden", torch.ones(T, T).triu(1))


def cooled(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(1, 2) / m.temperature, dim=-1) @ v


def counted(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    m.asked += 1
    return plain(m, q, k, v)


def counted_in_place(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    m.asked.add_(1)
    return plain(m, q, k, v)


def hidden_by_a_buffer(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = (q @ k.transpose(1, 2)).masked_fill(m.hidden == 1, -torch.inf)
    return torch.softmax(scores, dim=-1) @ v


def skipped_by_chance(m: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return v if m.training and torch.rand(()) < 1e-9 else plain(m, q, k, v)


def test_a_number_that_a_schedule_changes_is_read_anew() -> None:
    old = job(Kept(cooled))
    made = MemoryEfficientAttention().apply(replace(old, model=copy.deepcopy(old.model)))
    (x,) = old.sample(4)
    assert kernels(made.model, x) == 1
    for model in (old.model, made.model):
        vars(model.get_submodule("layer"))["temperature"] = 0.1
    assert torch.allclose(made.model(x), old.model(x), atol=1e-6)
    vars(made.model.get_submodule("layer"))["temperature"] = 1.0
    assert kernels(copy.deepcopy(made.model), x) == 1


@pytest.mark.parametrize("mix", [counted, counted_in_place], ids=lambda f: f.__name__)
def test_buffers_that_count_go_on_counting(mix: Callable[..., Tensor]) -> None:
    given = job(Kept(mix))
    try:
        MemoryEfficientAttention().apply(given)
    except NotApplicable:
        assert mix is counted
    assert float(given.model.get_buffer("layer.asked")) == 0
    for _ in range(3):
        given.model(*given.sample(4))
    assert float(given.model.get_buffer("layer.asked")) == 3


def test_what_is_computed_of_a_buffer_is_computed_anew() -> None:
    old = job(Kept(hidden_by_a_buffer))
    made = MemoryEfficientAttention().apply(replace(old, model=copy.deepcopy(old.model)))
    (x,) = old.sample(4)
    assert kernels(made.model, x) + kernels(old.model, x) <= 1
    for model in (old.model, made.model):
        model.get_buffer("layer.hidden").zero_()
    assert torch.allclose(made.model(x), old.model(x), atol=1e-6)


def test_code_that_draws_a_number_is_left_alone() -> None:
    with pytest.raises(NotApplicable, match="no attention to replace: "):
        MemoryEfficientAttention().apply(job(Kept(skipped_by_chance)))
