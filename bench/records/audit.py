"""Published claims as a file states them, and how each is to be measured: ``audit.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bench.records.measurement import BASELINE, CONTROL, Work
from bench.records.schema import Json, Number, Record, Text
from bench.records.units import scale_of, unit_of

Quantity = Literal[
    "step time", "time", "training time", "epoch time", "memory", "training FLOPs", "FLOPs",
    "parameters", "trainable parameters", "file size", "metric",
]  # fmt: skip
"""What a claim is of: seconds a step, an item, a whole training, an epoch; peak memory; FLOPs of a
training step, of one item's forward pass; counts; bytes of the file; the metric that judges."""
Form = Literal["ratio", "less", "change", "value"]
"""before / after, or of what is better higher after / before; the share by which after is less;
after - before; what after is."""
Label = Annotated[Text, Field(min_length=1, max_length=60, pattern=r"^\w[\w.-]*$")]
"""A name, of a folder too: none begins with a dot."""
Said = Annotated[Text, Field(min_length=1)]


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number")
    return value


Told = Annotated[Number, BeforeValidator(_number)]
Range = tuple[Number | None, Number | None]
RIVAL = "rival"
"""What the run of whole trainings beside a rival is called."""
OF_WHOLE_TRAININGS = frozenset({"training time", "epoch time", "metric"})


class Stated(Record):
    """What is claimed, as far as measurements judge it."""

    quantity: Quantity | None = None
    """None where no measurement of a trial is: a table's values, numbers of a formula."""
    of: Text | None = None
    """Which metric, where it is not the one that judges the baseline."""
    form: Form
    claimed: Number | Range
    """A number, or from-to with null for no bound."""
    unit: Text = ""
    better: Literal["higher", "lower"] | None = None
    """Which side is better; None: of a change higher, of a value none, of a ratio or what is less
    lower."""

    @property
    def range(self) -> Range:
        """Return the least and the largest of what is claimed."""
        if isinstance(self.claimed, tuple):
            return self.claimed
        return self.claimed, self.claimed

    @property
    def sides(self) -> int:
        """Return on how many sides a measured interval may lie beyond what is claimed."""
        return 2 if None not in self.range else 1

    @property
    def rises(self) -> bool:
        """Tell whether a claimed ratio is after / before."""
        return self.form == "ratio" and self.better == "higher"

    @field_validator("claimed", mode="before")
    @classmethod
    def _is_number(cls, value: object) -> object:
        ends = value if isinstance(value, list | tuple) and len(value) == 2 else [value]
        numbers = [end for end in ends if end is not None or len(ends) == 1]
        if not all(type(end) in (int, float) for end in numbers):
            raise ValueError("give a number as it is measured (1.3; 0.3 for 30 %), or from and to, "
                             "as [1.3, 1.5], one of which may be null")  # fmt: skip
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        low, high = self.range
        if low is None and high is None:
            raise ValueError("claimed: give a number, or from and to, one of which may be null")
        if low is not None and high is not None and low > high:
            raise ValueError(f"claimed: {low:g} to {high:g} is no range: the lesser comes first")
        ends = [end for end in (low, high) if end is not None]
        if self.form == "less" and not all(0 <= end < 1 for end in ends):
            raise ValueError(f"claimed: a share that is less lies in 0 to 1: write {ends[0]:g} % "
                             f"as {ends[0] / 100:g}")  # fmt: skip
        if self.form == "ratio" and not all(end > 0 for end in ends):
            raise ValueError("claimed: a ratio is above 0")
        if self.form == "less" and self.better == "higher":
            raise ValueError("better: to be less is no gain of what is better higher; claim a "
                             "change, or a ratio, which then is after / before")  # fmt: skip
        if self.form in ("less", "ratio") and self.quantity == "metric" and self.better is None:
            raise ValueError(f"better: say whether the metric is better higher or lower, as this "
                             f"tells what form: {self.form} is")  # fmt: skip
        if self.of and self.quantity != "metric":
            raise ValueError("of: names a metric, and the quantity is none")
        return self


class Measured(Record):
    """Which arm of which run tells it (of a value, the run's baseline may); with a formula, what it
    tells of the whole."""

    run: Label
    arm: Label
    formula: Text | None = None
    """Of `measured` (in seconds, bytes, FLOPs) and of `numbers`: what is projected from it."""
    numbers: dict[Label, Told] = {}


class Given(Record):
    """A table of given measurements: columns arm and value and, where told, session and pair."""

    table: Text
    """A CSV file, beside the audit's."""
    before: Text = ""
    """Not asked for where a value is claimed."""
    after: Said


class Arithmetic(Record):
    """The claim's own numbers, and what they give."""

    numbers: dict[Label, Told]
    formula: Said


class Claimed(Stated):
    """One claim: where it is from, in our words, and one way to tell it."""

    id: Label
    says: Said
    source: Text = ""
    measured: Measured | None = None
    given: Given | None = None
    arithmetic: Arithmetic | None = None
    untestable: Said | None = None
    """Why it can't be told here."""
    note: Text = ""
    """How it was read, what a report should know beside."""

    @property
    def how(self) -> str:
        """Return by what it is told."""
        if self.measured:
            return "projected" if self.measured.formula else "measured"
        return "given" if self.given else "arithmetic" if self.arithmetic else "not tested"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.measured, self.given, self.arithmetic, self.untestable]
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give one of measured, given, arithmetic and untestable")
        if self.measured and self.quantity is None:
            raise ValueError("quantity: say what is measured")
        if self.given and self.form != "value" and not self.given.before:
            raise ValueError("given.before: say which arm of the table is what was before")
        if self.given and self.form != "value" and self.given.before == self.given.after:
            raise ValueError(f"given: {self.given.after} is both before and after")
        self.scale  # noqa: B018  raises for a unit that the quantity is not in
        return self

    @property
    def scale(self) -> float:
        """Return how much of what is measured one of the claimed unit is."""
        if self.measured is None or self.measured.formula or self.form in ("ratio", "less"):
            return 1.0
        return scale_of(self.quantity or "", self.unit)

    @property
    def said_unit(self) -> str:
        """Return the unit that the claimed number is in, where it says none too."""
        if self.measured is None or self.measured.formula or self.form in ("ratio", "less"):
            return self.unit
        return unit_of(self.quantity or "", self.unit)


class Tried(Record):
    """An arm of a run: what of the run's settings changes, and which techniques are used."""

    settings: Json = {}
    techniques: tuple[Text, ...] = ()
    work: Work | None = None
    """What a gain would come from, where settings change; techniques say it themselves."""


class Planned(Record):
    """One run: settings before, and the arms that are measured against them."""

    baseline: Text | None = None
    """None: the audit's own."""
    before: Json = {}
    arms: Annotated[dict[Label, Tried], Field(min_length=1)]
    trials: Literal["steps", "whole"] = "whole"
    repeats: Annotated[int, Field(ge=3, le=30)] | None = None
    """Pairs of a fixed test; None: until it is known."""
    scaled: Text = ""
    """By what it is smaller than what the claims are of, and why that tells the same."""

    @model_validator(mode="after")
    def _named_arms(self) -> Self:
        for name in self.arms:
            if name in (BASELINE, CONTROL):
                raise ValueError(f"arms: {name} is the run's own; give it another name")
        return self


class Rival(Record):
    """The cheapest honest rival of a baseline, which is run once beside whole trainings."""

    name: Said
    why: Said
    call: Annotated[Text, Field(pattern=r"^[\w.]+:\w+$")]
    """``module:function``, from the baseline's settings to metric and seconds."""
    settings: Json = {}
    """Of both: the data, and how the baseline is trained."""


class Audit(Record):
    """Everything that is claimed in one place, and how it is measured."""

    format: Literal[1] = 1
    name: Label
    title: Said
    source: Said
    baseline: Text | None = None
    """A name, or ``file.py:Class``, beside the audit's file."""
    data: Text | None = None
    """Which folder within --data-dir, where it is there."""
    runs: dict[Label, Planned] = {}
    claims: Annotated[tuple[Claimed, ...], Field(min_length=1)]
    rival: Rival | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        ids = [claim.id for claim in self.claims]
        if twice := next((one for one in ids if ids.count(one) > 1), None):
            raise ValueError(f"claims: the id {twice} is there twice")
        for claim in self.claims:
            if claim.measured:
                self._check(claim, claim.measured)
        if RIVAL in self.runs:
            raise ValueError(f"runs.{RIVAL}: that is what the rival's is called; rename it")
        for name, run in self.runs.items():
            if (run.baseline or self.baseline) is None:
                raise ValueError(f"runs.{name}: give the baseline, here or of the whole audit")
        return self

    def _check(self, claim: Claimed, told: Measured) -> None:
        run = self.runs.get(told.run)
        if run is None:
            raise ValueError(f"claim {claim.id}: there is no run {told.run}; {_known(self.runs)}")
        of_baseline = told.arm == BASELINE and claim.form == "value"
        if told.arm not in run.arms and not of_baseline:
            raise ValueError(f"claim {claim.id}: the run {told.run} has no arm {told.arm}; "
                             f"{_known(run.arms)}")  # fmt: skip
        if run.trials == "steps" and claim.quantity in OF_WHOLE_TRAININGS:
            raise ValueError(f"claim {claim.id}: {claim.quantity} is of whole trainings, and the "
                             f"run {told.run} is of steps")  # fmt: skip


class Experiment(Record):
    """What of an audit one run measures: the content of its ``run.json``."""

    name: Label
    arms: dict[Label, Tried]
    trials: Literal["steps", "whole"]
    claims: tuple[Claimed, ...]

    def of(self, arm: str) -> list[Claimed]:
        """Return the claims that an arm tells."""
        return [claim for claim in self.claims if claim.measured and claim.measured.arm == arm]


def experiment_of(audit: Audit, name: str) -> Experiment:
    """Return what one of an audit's runs measures."""
    run = audit.runs[name]
    own = tuple(c for c in audit.claims if c.measured and c.measured.run == name)
    return Experiment(name=name, arms=run.arms, trials=run.trials, claims=own)


def _known(names: Sequence[str] | dict[str, Any]) -> str:
    return f"there are: {', '.join(chain(names))}" if names else "there are none"
