"""Judge arms as they stand after a round, by the pairs of one stage alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analysis.aims import excess_of_pairs, sought_by
from bench.analysis.comparison import aims_of
from bench.analysis.levels import rule_of
from bench.analysis.margin import screening_margin
from bench.analysis.metric import target_of
from bench.analysis.objectives import Sought, basis_of
from bench.analysis.pairs import Pair, again, by_arm, pairs_made, tells, unlike, whole
from bench.analysis.quality import Unlike
from bench.analysis.verdict import Judgement, Verdict, judge
from bench.records.header import Header
from bench.records.measurement import Measurement, Purpose

LEAST_FAILED = 2
"""So many failed trials, and none that ended well, end an arm."""


def standings(
    header: Header, trials: Sequence[Measurement], arms: Iterable[str], stage: Purpose
) -> dict[str, Judgement]:
    """Judge each of some arms; how far equal trials differ is known of all stages."""
    own = by_arm([trial for trial in trials if trial.stage == stage])
    apart = unlike(again(trials, header.screening is not None))
    chosen = stage == "test" and header.screening is not None
    margin = screening_margin(header, trials) if chosen else header.margin
    sought = sought_by(trials, aims_of(header))
    return {
        arm: _standing(header, pairs_made(own.get(arm, ()), arm), stage, apart, margin, sought)
        for arm in arms
    }


def _standing(
    header: Header, pairs: Sequence[Pair], stage: Purpose, apart: Unlike | None, margin: float,
    sought: Sought,
) -> Judgement:  # fmt: skip
    if not (good := whole(pairs)):
        dead = sum(map(tells, pairs)) >= LEAST_FAILED
        return Judgement(Verdict.UNDECIDED, "no whole pair was measured", goes_on=not dead)
    rule, basis = rule_of(header, stage), basis_of(good[0][1])
    now = judge(pairs, basis, margin, rule, apart, target_of(header), sought)
    over = excess_of_pairs(pairs, aims_of(header), rule.first, least=True)
    return now if over is None else Judgement(Verdict.OVER_LIMIT, over)
