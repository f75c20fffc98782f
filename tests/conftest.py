"""What several test folders share: the place of the real data, or the reason to skip."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_xdist_auto_num_workers() -> int:
    """Return two workers more than there are cores: tests of the command line sleep and wait."""
    return (psutil.cpu_count() or 1) + 2


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every second worker begin with the tests that wait for processes, the others compute.

    Each worker is given as many tests in a row, and what has none left takes from the ends of the
    longest rows: what takes a minute is to stand at the beginning of one.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    waiting = [item for item in items if _waits(item)]
    computing = [item for item in items if not _waits(item)]
    size, half = math.ceil(len(items) / workers), math.ceil(workers / 2)
    items.clear()
    for worker in range(workers):
        row = waiting[worker // 2 :: half] if worker % 2 == 0 else []
        items += row + computing[: size - len(row)]
        del computing[: size - len(row)]
    items += computing


def pytest_configure() -> None:
    """Collect no garbage until all tests are there: what imports make stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was imported, and all tests, out of what the collector looks through ever after.

    A measured script's trial ends with a whole collection, which took 0.3 s of half a million
    objects.
    """
    gc.freeze()
    gc.enable()


def _waits(item: pytest.Item) -> bool:
    """Tell whether a test is of the command line, or a slow one that trains in other processes."""
    if "cli" in item.path.parts:
        return True
    return item.get_closest_marker("slow") is not None and "contract" not in item.path.parts


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
def own_cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """Let tests, and the processes that they start, keep nothing in the user's cache.

    One for all workers: a run that one of them has made, another may go on with.
    """
    with pytest.MonkeyPatch.context() as patch:
        base = tmp_path_factory.getbasetemp()
        folder = (base if worker_id == "master" else base.parent) / "cache"
        folder.mkdir(exist_ok=True)
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Let every test compute on one thread, whatever number the one before it has set.

    There is one worker for each core, and more: threads that wait for each other there take
    several times as long.
    """
    torch.set_num_threads(1)
