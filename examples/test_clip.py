"""Hold the technique to what it declares: bench init my_model.py && pytest test_clip.py."""

from __future__ import annotations

import pytest

from bench.testing import PROMISES, Case, Promise

SMALL = Case("my_model.py:MyModel", {"epochs": 1})


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_clipping(promise: Promise) -> None:
    """One promise a case: equal seeds repeat, nothing global stays changed, ..."""
    promise(SMALL, "clip.py:ClipGradients:norm=0.5")
