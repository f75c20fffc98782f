"""The baselines of the contract tests."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from bench.cli import template
from bench.testing import CachedCase
from tests.contract.cases import CONV_NET, EXTRA, OTHERS, PICTURES, REGISTERED, S4_FROZEN, SMALL

NAMED = {"conv-net": CONV_NET, "pictures": PICTURES, "s4-ecg-frozen": S4_FROZEN}


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], CachedCase]:
    """Return the one case of each baseline, which keeps what it trained until the session ends.

    A fixture that a test's parameters choose ends with the test, whatever its scope.
    """

    @functools.cache
    def made(name: str) -> CachedCase:
        if name in NAMED:
            return CachedCase(NAMED[name].baseline, NAMED[name].settings)
        if name != "template":
            return CachedCase(name, SMALL.get(name, {}))
        file = tmp_path_factory.mktemp("template") / "my_model.py"
        template.write(file)
        return CachedCase(f"{file}:MyModel", {"epochs": 8, "hidden": 16})

    return made


@pytest.fixture(params=[*REGISTERED, *OTHERS, *EXTRA])
def case(request: pytest.FixtureRequest, cases: Callable[[str], CachedCase]) -> CachedCase:
    """Return each baseline in turn: the registered ones, the template, small nets of our own."""
    return cases(str(request.param))
