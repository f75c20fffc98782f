"""Leave out of a race what can't pay here, before minutes are spent on it.

What is decided stands in the journal, so a run that goes on decides nothing anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.analysis.bounds import bounds_of, out_of_reach
from bench.analysis.comparison import aims_of
from bench.analysis.payback import planned_seconds
from bench.recipes.combination import effect_of, touches_of, work_of
from bench.recipes.resolve import steps_alone
from bench.recipes.script import is_script
from bench.records.measurement import BASELINE, CONTROL, Measurement, Preparation, Status
from bench.records.recipe import Recipe
from bench.run.arm_names import Used
from bench.run.combining import timed
from bench.run.plan import Planned
from bench.run.session import Session
from bench.technique import Stage

SLOWER = 2.0
"""Times as long as the baseline's, from which on a rehearsed step bears a caution out."""
PATIENCE = 60.0
"""Seconds of a whole training up to which it is tried whether compiling alone takes longer."""
SHARE = 0.1
"""Of the budget, that this may take of a training whose length only its end tells."""


@dataclass(frozen=True)
class Bounding:
    """What is known of the baseline before anything is raced against it."""

    session: Session
    profile: Measurement
    """A short trial of the baseline, looked into."""
    rehearsed: Measurement
    """The baseline's first steps."""

    @classmethod
    def of(cls, session: Session, rehearsed: Measurement) -> Bounding:
        """Profile the baseline, once a run."""
        session.show.begin("profiling the baseline")
        planned = Planned(BASELINE, -1, session.header.seed, session.recipe, "step")
        return cls(session, session.probe(planned, profile=True, count_flops=True), rehearsed)

    def excludes(self, name: str, used: Used) -> bool:
        """Tell, and record, whether what an arm may touch is too little for a gain."""
        known = self.session.refused(name)
        if known is not None and known.status is Status.BOUNDED:
            self.session.show.done(known)
            return True
        if not self.profile.ok:
            return False
        techniques = [technique for _, technique in used]
        bounds = bounds_of(
            self.profile,
            touches_of(techniques),
            effect_of(techniques),
            self.profile.profile,
            aims_of(self.session.header),
        )
        return self._refused(name, used, self.session.recipe, out_of_reach(bounds))

    def too_dear(self, name: str, used: Used, recipe: Recipe, rehearsed: Measurement) -> bool:
        """Tell, and record, whether an arm surely makes this training longer."""
        if "test" in self.session.header.raced:  # it was raced when the run began
            return False
        if not timed(self.session.header):
            return False
        why = self._slow(used, rehearsed) or self._long_setup(name, used, recipe, rehearsed)
        return self._refused(name, used, recipe, why)

    def _slow(self, used: Used, rehearsed: Measurement) -> str | None:
        """Say what speaks against an arm on this machine, where its rehearsed step bears it out."""
        device = self.session.header.device
        said = [text for _, technique in used if (text := technique.caution(device))]
        before, after = self.rehearsed.step_seconds, rehearsed.step_seconds
        if not said or not before or not after or min(after) < SLOWER * min(before):
            return None
        steps = f"a rehearsed step took {min(after):.3g} s, the baseline's {min(before):.3g} s"
        return f"{'; '.join(said)}; {steps}"

    def _long_setup(
        self, name: str, used: Used, recipe: Recipe, rehearsed: Measurement
    ) -> str | None:
        """Say where compiling takes longer than the whole training that it could shorten.

        It is ended when it does; its caches are its own, so that trials find none.
        """
        if not any(technique.stage is Stage.COMPILE for _, technique in used):
            return None
        whole = planned_seconds(self.profile)
        if whole is None and is_script(recipe) and not steps_alone(self.session.baseline, recipe):
            whole = planned_seconds(self._to_its_end())
        if whole is None or whole > PATIENCE:
            return None
        self.session.show.begin(f"{name}: its set-up")
        scratch = self.session.folder.scratch / "set-up"
        scratch.mkdir(exist_ok=True)
        planned = Planned(name, -1, self.session.header.seed, recipe, "step")
        found = self.session.probe(
            planned, scratch=str(scratch), timeout_seconds=whole + (rehearsed.wall_seconds or 0.0)
        )
        if found.status is Status.TIMED_OUT:
            spent = f"more than {whole:.3g} s"
        elif found.ok and (found.setup_seconds or 0.0) > whole:
            spent = f"{found.setup_seconds:.3g} s"
        else:
            return None
        return f"its first steps take {spent}, the baseline's whole training about {whole:.3g} s"

    def _to_its_end(self) -> Measurement:
        """Run the baseline as long as it is tried for, where only its end tells when it ends."""
        self.session.show.begin("how long a whole training takes")
        planned = Planned(CONTROL, -1, self.session.header.seed, self.session.recipe, "full")
        left = (self.session.header.budget_seconds or math.inf) * SHARE
        return self.session.probe(planned, timeout_seconds=min(PATIENCE, left))

    def _refused(self, name: str, used: Used, recipe: Recipe, why: str | None) -> bool:
        if why is None:
            return False
        techniques = [technique for _, technique in used]
        touches = touches_of(techniques)
        known = Preparation(
            effect=str(effect_of(techniques)), work=work_of(techniques),
            touches=None if touches is None else tuple(sorted(touches)),
        )  # fmt: skip
        self.session.refuse(name, recipe, why, Status.BOUNDED, known)
        return True
