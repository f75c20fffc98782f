"""Count one forward pass by other counters than ours, which miss different things."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import torch
from torch import nn

from bench.batches import Inputs
from bench.errors import reason_of
from bench.model.calls import by_position
from bench.model.train_mode import evaluating
from bench.records.measurement import FlopsCheck
from bench.trial.flops import forward_flops


def cross_check(model: nn.Module, inputs: Inputs) -> FlopsCheck:
    """Count one forward pass by three counters.

    The other two only advise: they trace, copy and hook a model in ways that many don't survive.
    Whatever they raise makes their count unknown, with the reason.
    """
    found: dict[str, int | None] = {}
    unknown: dict[str, str] = {}
    with evaluating(model):
        ours = forward_flops(model, inputs)
        for name, count in (("fvcore", _by_fvcore), ("thop", _by_thop)):
            found[name] = _tried(name, count, model, inputs, unknown)
    return FlopsCheck(ours=ours, **found, unknown=unknown)


def _tried(
    name: str, count: Callable[..., int], model: nn.Module, inputs: Inputs,
    unknown: dict[str, str],
) -> int | None:  # fmt: skip
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return count(model, by_position(model, inputs))
    except Exception as error:  # noqa: BLE001 - advice costs no trial
        unknown[name] = reason_of(error)
        return None


def _by_fvcore(model: nn.Module, inputs: tuple[object, ...]) -> int:
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(model, inputs)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return 2 * int(analysis.total())


def _by_thop(model: nn.Module, inputs: tuple[object, ...]) -> int:
    import thop

    # on a copy: thop leaves hooks and buffers behind
    macs, _ = thop.profile(copy.deepcopy(model), inputs=inputs, verbose=False)
    return int(2 * macs)
