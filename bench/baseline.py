"""What a baseline is: a protocol, so that a user's own model inherits nothing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.errors import BenchError

if TYPE_CHECKING:
    import torch

    from bench.job import Job


MOST_THREADS = 1024


class Settings(BaseModel):
    """A baseline's typed parameters: frozen, and refusing names that it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    threads: int | None = Field(
        None,
        ge=1,
        le=MOST_THREADS,
        description="CPU threads of a trial; null: --threads, the advice, or all cores",
    )
    loader: str | None = Field(
        None,
        pattern=r"^(thread|[1-9])$",
        description="what reads batches ahead: thread, or so many worker processes; null: nothing",
    )

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, values: object) -> object:
        """Fill in what a preset sets, where it isn't given itself."""
        if not isinstance(values, dict):
            return values
        for name, presets in marked(cls, "fills").items():
            chosen = values.get(name, cls.model_fields[name].default)
            values = {**presets.get(str(chosen), {}), **values}
        return values


Direction = Literal["higher", "lower"]
"""Which values of a metric are better."""
LOWER = frozenset({
    "loss", "nll", "mse", "rmse", "mae", "mape", "msle", "rmsle", "error", "err", "ppl",
    "perplexity", "bpc", "wer", "cer", "eer", "fid",
})  # fmt: skip
"""Words in the names of metrics of which lower values are usually better."""
NEGATED = frozenset({"neg", "negative", "minus"})


@dataclass(frozen=True, slots=True)
class Target:
    """The metric that judges quality, and the value worth reaching (or None)."""

    metric: str
    value: float | None = None
    bounds: tuple[float, float] | None = None
    """The least and the largest value that the metric can take: its intervals end there."""
    direction: Direction | None = None
    """Whether higher or lower values are better; None: higher, and said where that is unlikely."""
    relative_margin: float | None = None
    """The largest loss that is accepted as a share of the baseline's metric, where one in its own
    units means nothing (an RMSE of 19,000). ``--margin`` is then such a share too."""
    chosen_by: str | None = None
    """The metric that settings are chosen by, where a search tries many: one that the job's
    `evaluate` gives of items held out of training, never of the test part, better in the same
    direction."""

    def __post_init__(self) -> None:
        """Raise `BenchError` for what no metric can be."""
        if self.direction not in (None, *get_args(Direction)):
            raise BenchError(
                f'Target({self.metric!r}): direction={self.direction!r} is neither "higher" nor '
                '"lower"'
            )
        margin = self.relative_margin
        if margin is not None and not 0 <= margin < math.inf:
            raise BenchError(
                f"Target({self.metric!r}): relative_margin={margin} is no share of 0 or more, such "
                "as 0.02"
            )
        if self.bounds and not self.bounds[0] < self.bounds[1]:
            raise BenchError(
                f"Target({self.metric!r}): bounds={self.bounds} must be the least value, then a"
                " larger one"
            )

    @property
    def lower(self) -> bool:
        """Tell whether lower values are better."""
        return self.direction == "lower"

    @property
    def relative(self) -> bool:
        """Tell whether margins, and the differences held to them, are shares of the baseline's."""
        return self.relative_margin is not None

    def gain(self, before: float, after: float) -> float:
        """Return by how much `after` is better, as the margin counts; NaN for a share of 0."""
        better = before - after if self.lower else after - before
        if not self.relative:
            return better
        return better / abs(before) if before else math.nan

    def reached(self, found: float, value: float) -> bool:
        """Tell whether a metric is as good as a value."""
        return found <= value if self.lower else found >= value

    def doubt(self) -> str | None:
        """Say that higher is taken for better, where no direction is said and lower is usual."""
        words = re.findall(r"[a-z]+", self.metric.lower())
        if self.direction is not None or not LOWER & {*words} or NEGATED & {*words}:
            return None
        return (
            f"{self.metric} is judged as a metric of which higher is better; if lower is, say "
            f'Target({self.metric!r}, direction="lower")'
        )


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set that a baseline can find on this machine."""

    name: str
    summary: str
    where: str


class Baseline(Protocol):
    """A workload: data, model, loss, metric and default settings, run with no technique.

    Optional attributes, read where present:

    - ``preload: tuple[str, ...]``: modules that the fork server imports once for all trials;
    - ``prepare(settings) -> (settings, notices)``: resolve what the settings leave open (which data
      set, where) once per run; raise `BenchError` for what the user must fix;
    - ``datasets(data_dir) -> list[Dataset]``: what `bench list datasets` shows;
    - ``target_for(settings) -> Target``: a target that depends on the settings;
    - ``threads_for(settings) -> int | None``: with how many CPU threads steps are fastest, where
      that is known not to be all cores; ``--threads`` overrules it;
    - ``use(settings, deployment) -> Use``: how its trained model is used on one's own items, from
      what `Job.deployment` said of it (see `bench/deployment.py`).
    """

    name: str
    unit: str
    """What one item is, in the plural: "series", "images"."""
    target: Target
    settings: type[BaseModel]

    def job(self, settings: Any, device: torch.device, seed: int) -> Job:
        """Build a fresh job; every random choice follows from `seed`."""
        ...


def marked(settings: BaseModel | type[BaseModel], mark: str) -> dict[str, Any]:
    """Return what `mark` says of each setting that has it, by name; of settings or their class.

    A field's ``json_schema_extra`` marks it for the techniques that change settings:
    ``{"scales": "depth" | "width" | "input"}`` (numbers that a model or its inputs are scaled by),
    ``{"lighter": {value: {setting: value, ...}}}`` (the settings of a value's next lighter
    alternative), ``{"minimal": value}`` (the least of an augmentation), ``{"own_schedule": value}``
    (which turns the baseline's own learning-rate schedule off), ``{"fills": {value: {setting:
    value, ...}}}`` (a preset: other settings' defaults for a value of this one).

    ``{"range": [value, ...]}``, or ``{"range": {"low": number, "high": number, "log": True}}``,
    names what ``--objective quality`` chooses a setting from; whole numbers where both ends are.
    What a technique marks so of its own fields is tuned where it has won.
    """
    kind = settings if isinstance(settings, type) else type(settings)
    extras = {name: f.json_schema_extra for name, f in kind.model_fields.items()}
    return {
        name: extra[mark]
        for name, extra in extras.items()
        if isinstance(extra, dict) and mark in extra
    }
