"""Tell whether a model is compiled, without importing torch's compiler to ask."""

from __future__ import annotations

import sys

from torch import nn

TRACER = "torch._dynamo"
"""What torch imports for the first model that is compiled, and takes over a second to import."""


def is_compiled(model: nn.Module) -> bool:
    """Tell whether ``torch.compile`` made a model."""
    tracer = sys.modules.get(TRACER)
    return tracer is not None and isinstance(model, tracer.OptimizedModule)
