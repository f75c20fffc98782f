"""Seed, set aside, capture and restore the random generators of torch, numpy and Python."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NotRequired, TypedDict

import numpy as np
import torch

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
"""What random numbers can be drawn from."""


class RandomState(TypedDict):
    """The state of torch's, numpy's and Python's own generators."""

    torch: torch.Tensor
    numpy: str
    python: str
    cuda: NotRequired[list[torch.Tensor]]
    """Of each device."""


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Keep what is done inside from moving the random generators that training draws from."""
    ours, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)


def python_state(text: str) -> tuple[object, ...]:
    """Return the argument of `random.setstate` from its state as JSON."""
    version, numbers, gauss = json.loads(text)
    return version, tuple(numbers), gauss


def generator_state(generator: object) -> torch.Tensor | str:
    """Return the state of one of `GENERATORS`, as a tensor or text."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return json.dumps(generator.getstate())
    if isinstance(generator, np.random.Generator):
        state: object = generator.bit_generator.state
    else:
        assert isinstance(generator, np.random.RandomState)
        state = generator.get_state(legacy=False)
    return json.dumps(state, default=lambda array: array.tolist())


def set_generator_state(generator: object, state: torch.Tensor | str) -> None:
    """Restore a generator, from a tensor on any device."""
    if isinstance(state, torch.Tensor):
        assert isinstance(generator, torch.Generator)
        generator.set_state(state.cpu())
    elif isinstance(generator, random.Random):
        generator.setstate(python_state(state))
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = json.loads(state)
    else:
        assert isinstance(generator, np.random.RandomState)
        generator.set_state(json.loads(state))


def global_random() -> RandomState:
    """Return the state of torch's, numpy's and Python's own generators, as text and tensors."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    state: RandomState = {
        "torch": torch.get_rng_state(),
        "numpy": json.dumps([name, keys.tolist(), position, has_gauss, gauss]),  # type: ignore[union-attr]  # legacy is an array
        "python": json.dumps(random.getstate()),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_global_random(state: RandomState) -> None:
    """Restore all generators, from tensors on any device."""
    torch.set_rng_state(state["torch"].cpu())
    np.random.set_state(tuple(json.loads(state["numpy"])))
    random.setstate(python_state(state["python"]))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])


def seed_everything(seed: int) -> None:
    """Seed torch's, numpy's and Python's generators."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
