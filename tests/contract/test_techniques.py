"""What every technique promises, on every baseline: it does what it says, or says why it can't.

On small jobs with something for every technique always; on the registered baselines, which take
longer, where slow tests are asked for.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from bench.recipes import assembly, registry
from bench.records.claim import read_exported
from bench.testing import CachedCase, has_a_card, keeps_its_promises, refusal
from tests.conftest import real
from tests.contract.cases import (
    AT_ONCE,
    EXTRA,
    OTHERS,
    REGISTERED,
    SLOW,
    SMALL,
    TECHNIQUES,
    Case,
)
from tests.contract.child import in_child
from tests.records import exported
from tests.technique_rows import NETS, NOT_HERE, ROWS

NATIVE = {"channels-last"}
"""What calls kernels that were seen to end a process (oneDNN's on AVX2): tried in a child."""


ON_FROZEN = {
    "adafactor", "cached-features", "ema", "ensemble", "freeze-encoder", "gradient-checkpointing",
    "knowledge-distillation", "low-rank", "pruning", "quantization", "scale-model",
}  # fmt: skip
"""What does something to the model, its weights or their optimizer: frozen parts are its matter."""
LONG = {"template", "pictures", "ecg-cnn", "s4-ecg", "murmur", *EXTRA}
"""Where compiling takes half a minute, and shows no more than on the others."""


def crossed() -> list[object]:
    """Return every baseline with every technique, as parameters."""
    return [
        pytest.param(
            baseline,
            name,
            id=f"{baseline}-{name}",
            marks=[pytest.mark.slow] if baseline not in OTHERS or name in SLOW else [],
        )
        for baseline in (*OTHERS, *EXTRA, *REGISTERED)
        for name in TECHNIQUES
        if not (name in SLOW and baseline in LONG)
        and not (baseline in EXTRA and name not in ON_FROZEN)
    ]


@pytest.mark.parametrize(("case", "name"), crossed(), indirect=["case"])
def test_a_technique_keeps_its_promises(case: CachedCase, name: str, tmp_path: Path) -> None:
    if (reason := refusal(case, name)) is not None:
        pytest.skip(f"not applicable: {reason}")
    if name in NATIVE:
        in_child(lambda: keeps_its_promises(case, name))
    else:
        keeps_its_promises(case, AT_ONCE.get(name, name))
    is_exported_whole(case, name, tmp_path / "optimized.json")


def is_exported_whole(case: Case, name: str, path: Path) -> None:
    """Hold a technique to making an equal one from the file that its recipe is exported to."""
    recipe, places = case.recipe(name)
    path.write_text(exported(recipe=recipe, recipe_id=recipe.id).model_dump_json())
    again = read_exported(path).recipe
    assert again.id == recipe.id
    assert assembly.techniques_of(again, places) == assembly.techniques_of(recipe, places)


@pytest.mark.parametrize("baseline", REGISTERED)
def test_every_technique_applies_or_says_why(baseline: str) -> None:
    """It may be asked of any baseline, and is held to its promises there among the slow tests."""
    case = Case(baseline, SMALL.get(baseline, {}))
    refused = {name: refusal(case, name) for name in TECHNIQUES}
    assert None in refused.values(), refused


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_technique_is_one_file_with_a_method_card_under_300_lines(name: str) -> None:
    assert registry.load_technique(name).name == name
    has_a_card(name)
    text = Path(inspect.getfile(registry.load_technique(name))).read_text()
    assert len(text.splitlines()) < 300
    assert "from optimizers" not in text


def test_every_technique_has_a_benchmark_row_or_needs_what_no_row_has() -> None:
    used = {text.partition(":")[0] for row in ROWS.values() for text in row.techniques}
    assert used | NOT_HERE == set(TECHNIQUES)
    assert not used & NOT_HERE


@pytest.mark.parametrize("row", [name for name, row in ROWS.items() if str(NETS) in row.baseline])
def test_what_a_row_shows_applies_there(row: str) -> None:
    real("xray")
    case = Case(ROWS[row].baseline, {"train_items": 64})
    refusals = {name: refusal(case, name) for name in ROWS[row].techniques}
    assert refusals == dict.fromkeys(refusals)
