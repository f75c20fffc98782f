"""What several test folders share: the place of the real data, or the reason to skip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_xdist_auto_num_workers() -> int:
    """Return two workers more than there are cores: tests of the command line sleep and wait."""
    return (psutil.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones: what takes a minute, begun last, would leave the others idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def real(name: str) -> Path:
    """Return a folder of real data; skip where a checkout has none beside it."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"no real data here: {folder} is not a folder")
    return folder


@pytest.fixture(scope="session")
def ucr() -> Path:
    """Return the folder of real UCR/UEA sets."""
    return real("ucr")


@pytest.fixture(scope="session")
def ptbxl() -> Path:
    """Return the folder of real PTB-XL records."""
    return real("ptbxl")


@pytest.fixture(scope="session")
def cinc() -> Path:
    """Return the folder that holds the records of both challenges."""
    real("cinc2020")
    return real("cinc2021").parent


@pytest.fixture(scope="session")
def circor() -> Path:
    """Return the folder of CirCor's patients."""
    return real("circor")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let tests, and the processes that they start, keep nothing in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Let tests compute on one thread: there is one worker for each core."""
    torch.set_num_threads(1)
