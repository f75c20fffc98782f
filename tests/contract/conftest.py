"""The baselines of the contract tests."""

from __future__ import annotations

import pytest

from bench.cli import template
from bench.recipes import registry
from tests.contract.cases import CONV_NET, PICTURES, S4_FROZEN, SMALL, Case

OTHERS = ["template", "conv-net", "pictures", "s4-ecg-frozen"]
BASELINES = [*registry.names(registry.BASELINES), *OTHERS]


@pytest.fixture(scope="session", params=BASELINES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Return each baseline in turn: the registered ones, the template, a small net of our own."""
    name = str(request.param)
    if name == "conv-net":
        return CONV_NET
    if name == "pictures":
        return PICTURES
    if name == "s4-ecg-frozen":
        return S4_FROZEN
    if name != "template":
        return Case(name, SMALL.get(name, {}))
    file = tmp_path_factory.mktemp("template") / "my_model.py"
    template.write(file)
    return Case(f"{file}:MyModel", {"epochs": 8, "hidden": 16})
