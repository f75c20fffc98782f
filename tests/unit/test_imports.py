"""What is light stays light: neither the command line nor a report imports torch."""

from __future__ import annotations

import re
import subprocess
import sys

import grimp

HEAVY = {"torch", "pandas", "scipy", "matplotlib", "sklearn", "aeon", "numpy", "pydantic"}
WITHOUT_TORCH = (
    "reports", "bench.analysis.gate", "bench.analysis.comparison", "bench.records.run_folder",
    "bench.records.recipe", "bench.recipes.registry", "bench.recipes.resolve", "bench.run.start",
    "bench.launch.local", "bench.launch.entry", "bench.cli.list",
)  # fmt: skip


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def imported_by(code: str) -> set[str]:
    """Return the packages in memory after `code` has run in a process of its own."""
    done = python("-c", f"{code}\nimport sys; print(*{{n.partition('.')[0] for n in sys.modules}})")
    return set(done.stdout.splitlines()[-1].split())


def test_the_command_line_imports_nothing_heavy() -> None:
    told = python("-X", "importtime", "-c", "import bench.cli.main").stderr
    packages = set(re.findall(r"\|\s+(\w+)[\w.]*$", told, flags=re.MULTILINE))
    assert "bench" in packages
    assert packages.isdisjoint(HEAVY)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['bench', '--help']\nfrom bench.cli.main import main\n"
    assert imported_by(f"{code}try: main()\nexcept SystemExit: pass").isdisjoint(
        HEAVY - {"pydantic"}  # typer itself imports it
    )


def test_what_reads_records_settings_or_starts_trials_needs_no_torch() -> None:
    """One process does it all: what is not there in the end, none of it has imported."""
    used = [
        *(f"import {module}" for module in WITHOUT_TORCH),
        "registry = bench.recipes.registry",
        "registry.make_settings(registry.load_baseline('timehut'), {})",
    ]
    told = [f"{line}\nassert 'torch' not in sys.modules, {line!r}" for line in used]
    python("-c", "\n".join(["import sys", *told]))


def test_no_module_of_the_baselines_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph("baselines")
    arrows = [(a, b) for a in graph.modules for b in graph.find_modules_directly_imported_by(a)]
    assert ("baselines.xray", "baselines.xray.settings") in arrows
    assert not [(a, b) for a, b in arrows if graph.chain_exists(importer=b, imported=a)]
