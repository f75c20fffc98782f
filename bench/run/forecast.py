"""What a run would make and about how long that takes, told before it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.levels import Rule, looks_of
from bench.errors import BenchError
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement
from bench.run.plan import Block, Kind, Planned, trials_in

if TYPE_CHECKING:
    from bench.run.search_forecast import SearchForecast
    from bench.run.session import Session


@dataclass(frozen=True, slots=True)
class Forecast:
    """Trials and seconds of the first stage, by one timed trial of the baseline of each kind."""

    arms: int
    trials_a_round: int
    seconds_a_round: float
    trial_seconds: Mapping[Kind, float]
    rule: Rule
    looks: tuple[int, int]
    """After how many pairs arms are looked at first, and last."""
    budget_seconds: float | None

    @property
    def rounds_paid(self) -> int | None:
        """Return how many rounds of all arms the budget pays for; None without a budget."""
        if self.budget_seconds is None or self.seconds_a_round <= 0:
            return None
        return int(self.budget_seconds / self.seconds_a_round)

    @property
    def arms_paid(self) -> int | None:
        """Return how many arms the budget can bring to their first look, where not all of them."""
        if self.budget_seconds is None or self.rounds_paid is None:
            return None
        if self.rounds_paid >= self.rule.first or not self.arms:
            return None
        return int(self.arms * self.budget_seconds / (self.seconds_a_round * self.rule.first))


class PlanOnly(Exception):  # noqa: N818 - the end that was asked for
    """A run that is only planned has been."""

    def __init__(self, forecast: Forecast | SearchForecast) -> None:
        super().__init__("planned")
        self.forecast = forecast


def foresee(session: Session, blocks: Sequence[Block], rule: Rule) -> Forecast:
    """Return the forecast of a session's stage, for which its baseline is timed."""
    kinds = dict.fromkeys(planned.kind for block in blocks for planned in block)
    seconds = {kind: timed(session, kind).wall_seconds or 0.0 for kind in kinds}
    return forecast(session.header, blocks, rule, seconds)


def timed(session: Session, kind: Kind) -> Measurement:
    """Return one trial of the baseline; raise `BenchError` where it gives none."""
    planned = Planned(BASELINE, 0, session.header.seed, session.recipe, kind)
    record = session.once(planned).measurement
    if not record.ok or record.wall_seconds is None:
        raise BenchError(f"the baseline does not train: {record.reason}")
    return record


def forecast(
    header: Header, blocks: Sequence[Block], rule: Rule, trial_seconds: Mapping[Kind, float]
) -> Forecast:
    """Return a stage's forecast by its first round; an arm's trial counts as the baseline's."""
    planned = [one for block in blocks for one in block]
    return Forecast(
        arms=len({one.arm for one in planned} - {BASELINE, CONTROL}),
        trials_a_round=trials_in(blocks),
        seconds_a_round=sum(trial_seconds[one.kind] for one in planned),
        trial_seconds=trial_seconds,
        rule=rule,
        looks=looks_of(header, rule),
        budget_seconds=header.budget_seconds,
    )
