"""A technique that tries something on the model leaves the training's random numbers alone."""

from __future__ import annotations

import pytest

from bench.testing import Case, stepped
from tests.contract.cases import PICTURES


@pytest.mark.parametrize("technique", ["quantization", "quantization:mode=dynamic", "tta"])
def test_a_conversion_after_training_leaves_the_losses_as_they_are(technique: str) -> None:
    case = Case(PICTURES.baseline, {"epochs": 2})
    plain, _ = stepped(case.job(), 4)
    assert stepped(case.job(technique), 4)[0] == plain
