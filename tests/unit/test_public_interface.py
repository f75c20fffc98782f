"""What techniques and baselines may be written against: ours use no more than others can.

`PUBLIC` keeps its paths and names. The blocks are there to be used too, but may move.
"""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = {
    "bench.technique": {"Effect", "Probe", "SettingsT", "Stage", "Technique"},
    "bench.baseline": {"Baseline", "Dataset", "Settings", "Target", "marked"},
    "bench.job": {
        "Batches", "DataCard", "FixedItems", "Job", "Loss", "Mark", "Progress", "Schedule", "Step",
        "deploys_what_it_trains", "no_schedule", "plain_step", "plain_update", "turns",
    },
    "bench.batches": {"Batch", "each_tensor", "inputs_of", "rebuilt", "with_inputs"},
    "bench.turns": {"each_changed"},
    "bench.group": {"Group", "of_process"},
    "bench.deployment": {"Answer", "Deployment", "Item", "Picture", "Use", "spread", "with_suffix"},
    "bench.targets": {"Targets"},
    "bench.random_state": {"undisturbed"},
    "bench.metrics": {"auroc", "macro_auroc", "macro_f1", "recalls"},
    "bench.interception.calls": {"Call"},
    "bench.interception.pinned": {"Pinned"},
    "bench.interception.scaling": {"Scaling"},
    "bench.interception.script": {"Script"},
    "bench.interception.writing": {"Writing"},
    "bench.errors": {"BenchError", "Clash", "NotApplicable"},
    "bench.testing": {
        "CPU", "PROMISES", "STEPS", "Broken", "CachedCase", "Case", "Promise", "changes_something",
        "effect_of", "global_state", "has_a_card", "keeps_its_effect", "keeps_its_promises",
        "leaves_a_model_that_copies", "made_up_probe", "pair_works", "plain_state", "refusal",
        "repeats_itself", "stepped", "survives_export", "trains_to_the_end",
    },
}  # fmt: skip
BLOCKS = {"bench.model", "bench.data", "bench.records", "bench.machine"}
"""Rooms whose modules techniques and baselines may use."""
TOOLS = {"bench.trial.training", "bench.trial.flops", "bench.recipes.assembly"}
"""Single modules of other rooms, for what trains or counts within a technique: a teacher, a
smaller model to be found."""


def imported() -> dict[str, set[str]]:
    """Return the names that techniques and baselines import of each module of the engine."""
    found: dict[str, set[str]] = defaultdict(set)
    for package in ("optimizers", "baselines"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bench"):
                    found[str(node.module)] |= {name.name for name in node.names}
                elif isinstance(node, ast.Import):
                    found |= {n.name: set() for n in node.names if n.name.startswith("bench")}
    return found


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_interface_is_there(module: str) -> None:
    there = vars(importlib.import_module(module))
    assert {name for name in PUBLIC[module] if name not in there} == set()


def test_techniques_and_baselines_use_the_public_interface_and_the_blocks() -> None:
    elsewhere = {
        module: names
        for module, names in imported().items()
        if module not in {*PUBLIC, *TOOLS, *BLOCKS}
        and ".".join(module.split(".")[:2]) not in BLOCKS
    }
    assert elsewhere == {}
