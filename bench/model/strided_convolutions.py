"""Train strided 1x1 convolutions of few channels without a fault of oneDNN.

On a CPU with AVX2 and without AVX-512, oneDNN (in torch 2.13) computes the gradient of the weights
of a 1x1 convolution, channels last, with a stride, no padding, one group and 2 to 7 input channels,
by writing past the end of its scratch memory: the heap is damaged, or the gradient is wrong.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench.errors import NotApplicable

LANES = 8
"""Numbers in a vector of AVX2: with as many input channels, or more, nothing is written past."""


class SampledConv2d(nn.Conv2d):
    """A Conv2d that drops the places its stride passes over before it multiplies, where need be."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not is_at_risk(self):
            found: Tensor = super()._conv_forward(input, weight, bias)
            return found
        down, across = self.stride
        kept: Tensor = input[..., ::down, ::across]
        return nn.functional.conv2d(kept, weight, bias)


def is_at_risk(layer: nn.Conv2d) -> bool:
    """Tell whether the fault meets a convolution, were it channels last."""
    padded = layer.padding not in ("valid", (0, 0))
    strided = layer.kernel_size == (1, 1) and layer.stride != (1, 1) and not padded
    return strided and layer.groups == 1 and 1 < layer.in_channels < LANES


def sample_before_striding(model: nn.Module) -> None:
    """Change a model's strided 1x1 convolutions in place; values and names stay as they are.

    Those with more channels too: pruning may take channels away later. Raises `NotApplicable` for
    a class derived from Conv2d, whose own forward is unknown.
    """
    for name, layer in model.named_modules():
        if type(layer) is nn.Conv2d and layer.kernel_size == (1, 1) and layer.stride != (1, 1):
            layer.__class__ = SampledConv2d
        elif isinstance(layer, nn.Conv2d) and not isinstance(layer, SampledConv2d):
            _refuse(name, layer)


def refuse_at_risk(model: nn.Module) -> None:
    """Raise `NotApplicable` for a convolution that the fault meets, where none may be changed."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            _refuse(name, layer)


def _refuse(name: str, layer: nn.Conv2d) -> None:
    if is_at_risk(layer):
        plain = "" if type(layer) is nn.Conv2d else "a plain nn.Conv2d, or "
        would_do = f"{plain}{LANES} channels, would do"
        raise NotApplicable(
            f"{name} is a {type(layer).__name__}: a 1x1 convolution of {layer.in_channels} input "
            f"channels with stride {layer.stride}, whose backward pass in channels last damages "
            f"memory on CPUs with AVX2 (oneDNN); {would_do}"
        )
