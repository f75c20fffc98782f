"""A side of a comparison imports what a requirements file asks for; the other what is installed."""

from __future__ import annotations

import importlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from bench.baseline import Settings
from bench.errors import BenchError
from bench.launch.layer import lay
from bench.launch.local import Runner
from bench.recipes import resolve
from bench.recipes.references import places_of
from bench.records.measurement import BASELINE
from bench.records.revisions import Revision
from bench.trial.spec import TrialSpec
from tests.records import recipe

MODEL = """
import versioned
from bench.baseline import Settings, Target

class Net:
    name, unit, target, settings = "net", "items", Target("accuracy"), Settings

    def job(self, settings, device, seed):
        raise ValueError(f"version {versioned.VERSION}")
"""


def wheel(folder: Path, version: int) -> Path:
    """Write a wheel of one module, which says its version."""
    info = f"versioned-{version}.dist-info"
    path = folder / f"versioned-{version}-py3-none-any.whl"
    about = f"Metadata-Version: 2.1\nName: versioned\nVersion: {version}\n"
    how = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("versioned.py", f"VERSION = {version}\n")
        for name, text in (("METADATA", about), ("WHEEL", how), ("RECORD", "")):
            file.writestr(f"{info}/{name}", text)
    return path


def requirements(folder: Path, text: str) -> Path:
    """Write a requirements file that no index is asked for."""
    path = folder / "before.txt"
    path.write_text(f"--no-index\n--find-links {folder}\n{text}\n")
    return path


@pytest.mark.slow
def test_base_imports_another_version_than_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    zipfile.ZipFile(wheel(tmp_path, 2)).extractall(installed)
    wheel(tmp_path, 1)
    monkeypatch.syspath_prepend(str(installed))
    layer = lay(requirements(tmp_path, "versioned==1"), tmp_path / "environment")
    assert layer.versions == {"versioned": "1"}

    file = tmp_path / "net.py"
    file.write_text(MODEL)
    places = places_of([f"{file}:Net"])
    trial = TrialSpec(
        arm=BASELINE, pair=0, seed=0, kind="build", metric="accuracy", device="cpu", threads=1,
        recipe=resolve.baseline_recipe(f"{file}:Net", Settings(), places), places=places,
        scratch=str(tmp_path),
    )  # fmt: skip
    with Runner((), 60.0, {BASELINE: layer.folder}) as runner:
        record = runner.run(trial).measurement
    assert record.reason == "ValueError: version 1 (net.py, line 9)"
    assert importlib.import_module("versioned").VERSION == 2


def test_what_can_t_be_installed_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BenchError, match=r"there is no .*: name a requirements file"):
        lay(tmp_path / "none.txt", tmp_path / "environment")
    said = "note: from here\nERROR: No matching distribution found for absent==1\n"
    refused = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: refused)
    with pytest.raises(BenchError, match=r"pip can't install .*before.txt: No matching distr"):
        lay(requirements(tmp_path, "absent==1"), tmp_path / "environment")


def test_a_side_is_called_by_what_it_has_in_another_version() -> None:
    side = Revision(given=".", recipe=recipe(), versions={"torch": "2.12.0"})
    assert side.label == "the working tree with torch 2.12.0"
