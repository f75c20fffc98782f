"""Of which kind all trials of a run are, where what is asked leaves no choice between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.analysis.objectives import BY_NAME, TIME
from bench.analysis.payback import plans_its_steps
from bench.baseline import Baseline
from bench.errors import BenchError
from bench.recipes.resolve import steps_alone
from bench.records.header import Header
from bench.records.measurement import BASELINE, Measurement
from bench.records.recipe import Recipe
from bench.run.plan import Kind


def only_kind(
    header: Header, baseline: Baseline, recipe: Recipe, rehearsed: Sequence[Measurement]
) -> Kind | None:
    """Return the kind of all trials; None: what arms change tells which.

    They step alone where a whole training tells no metric. Where time is limited, and the rehearsal
    plans no number of steps, as of a script, only trainings to their end tell how long they take.
    """
    if steps_alone(baseline, recipe):
        return "step"
    own = next((one for one in rehearsed if one.arm == BASELINE and one.ok), None)
    limited = TIME.name in {*header.limits, *header.times_baseline}
    return "full" if limited and own is not None and not plans_its_steps(own) else None


def check_told(limits: Mapping[str, float], baseline: Baseline, recipe: Recipe) -> None:
    """Raise `BenchError` for limits on what no trial would tell, as all of them only step."""
    rows = [BY_NAME[name] for name in limits if name in BY_NAME]
    untold = [row.called for row in rows if row is TIME or not row.in_steps]
    if untold and steps_alone(baseline, recipe):
        raise BenchError(
            f"{baseline.name} names no metric, so its trials only make steps, which don't tell the "
            f"{' and '.join(untold)} of a whole training: name its metric, or limit that by a "
            f"multiple of the baseline's, as --limit {untold[0]}=1.2x"
        )
