"""Keep, and put back, how float32 is computed, whichever of torch's ways it was told by.

Since 2.9 torch has a switch for each kind of operator beside the two older ones. What is computed
goes by the newer alone; to set an older one sets them too, but not the other way round. Once they
say something else than an older one does, it raises when it is read.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import torch

KINDS = tuple((backend, op) for backend in ("cuda", "mkldnn") for op in ("matmul", "conv", "rnn"))
"""What has a newer switch."""
FULL = frozenset({"ieee", "none"})
"""What such a switch says where float32 is computed in full."""


@dataclass(frozen=True)
class Float32:
    """What the switches say."""

    products: str | None
    """The older one of products; None: it can't be read."""
    convolutions: bool | None
    """The older one of cuDNN, whether it may use TF32; None: it can't be read."""
    newer: tuple[str, ...]
    """The newer ones of `KINDS`; before torch 2.9 there are none."""

    @classmethod
    def now(cls) -> Float32:
        """Read them."""
        products: str | None = None
        convolutions: bool | None = None
        with suppress(RuntimeError):
            products = torch.get_float32_matmul_precision()
        with suppress(RuntimeError):
            convolutions = torch.backends.cudnn.allow_tf32
        return cls(products, convolutions, _newer())

    def in_full(self, op: Literal["matmul", "conv"]) -> bool:
        """Tell whether a kind of operator of CUDA's computes float32 in full."""
        if self.newer:
            return self.newer[KINDS.index(("cuda", op))] in FULL
        return self.products == "highest" if op == "matmul" else self.convolutions is False

    def put_back(self) -> None:
        """Let them say this again.

        An older one that couldn't be read was most likely never set; what it says changes nothing.
        """
        torch.set_float32_matmul_precision(self.products or "highest")
        if self.convolutions is not None:
            torch.backends.cudnn.allow_tf32 = self.convolutions
        _turn(self.newer)


def compute_in_full() -> None:
    """Turn TF32 and the like off."""
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    _turn(tuple(said if said in FULL else "ieee" for said in _newer()))


def _newer() -> tuple[str, ...]:
    read = getattr(torch._C, "_get_fp32_precision_getter", None)
    return tuple(read(*kind) for kind in KINDS) if read else ()


def _turn(wanted: tuple[str, ...]) -> None:
    """Set the newer switches that say something else."""
    for kind, said, want in zip(KINDS, _newer(), wanted, strict=False):
        if said != want:
            torch._C._set_fp32_precision_setter(*kind, want)
