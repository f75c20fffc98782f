"""What several test folders share: the place of the real data, or the reason to skip."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def ucr() -> Path:
    """Return the folder of real UCR/UEA sets; skip where a checkout has none beside it."""
    folder = DATA / "ucr"
    if not folder.is_dir():
        pytest.skip(f"no real data here: {folder} is not a folder")
    return folder


@pytest.fixture(scope="session")
def ptbxl() -> Path:
    """Return the folder of real PTB-XL records; skip where a checkout has none beside it."""
    folder = DATA / "ptbxl"
    if not folder.is_dir():
        pytest.skip(f"no real data here: {folder} is not a folder")
    return folder
