"""What a trial is asked to do: everything that crosses from the run to the fresh process."""

from __future__ import annotations

from typing import Literal

from bench.interception.edits import Written
from bench.records.header import Bounds
from bench.records.measurement import Identity, Measurement, Purpose
from bench.records.recipe import Recipe
from bench.records.schema import Record


class TrialSpec(Record):
    """One recipe, one seed, one fresh process."""

    arm: str
    pair: int
    seed: int
    kind: Literal["step", "full", "build"]
    """Time some steps, train to the end, or only build the job to see whether it can be."""
    stage: Purpose = "test"
    recipe: Recipe
    metric: str
    bounds: Bounds | None = None
    """Of the metric, where its target has some."""
    device: str
    threads: int
    places: dict[str, str] = {}
    memory_limit_bytes: int | None = None
    """How much the trial's private memory may grow; None: what the machine has free."""
    inference: bool = True
    """Time, in a full trial, how fast the deployed model answers."""
    count_flops: bool = False
    """Count FLOPs after training: once a recipe, as counting takes as long as many steps."""
    profile: bool = False
    """Look at what a training is made of: once a run, of the baseline."""
    least_steps: int | None = None
    """Steps that a step trial makes at least; None: as many as losses are compared over."""
    timeout_seconds: float | None = None
    """After which it is ended; None: what the run allows every trial."""
    describe: bool = False
    """Tell, when a job was built and rehearsed, what its parts do; of a script, what its techniques
    would have written into it."""
    declares: bool = True
    """Whether its techniques say what they change; of another revision of the code nobody does."""
    validates: bool = False
    """Ask the deployed model, after a full trial, about the items held out of training."""
    resettled: bool = False
    """Whether it is the baseline in other settings: another training, whatever its techniques."""
    cross_check: bool = False
    """Count them with fvcore and thop too."""
    scratch: str
    """A folder for compile caches and the trial's own output."""

    @property
    def identity(self) -> Identity:
        """Return what its measurement says of which trial it is."""
        return Identity(
            arm=self.arm, pair=self.pair, seed=self.seed, kind=self.kind, stage=self.stage,
            device=self.device, threads=self.threads, recipe=self.recipe.model_dump(mode="json"),
        )  # fmt: skip


class Findings(Record):
    """What a rehearsal of a baseline tells its author."""

    items: int
    batch: str
    """Dtypes and shapes of a batch's tensors, in the form in which they are nested."""
    loss: float | None
    """Of that batch, before training; None: no finite number, as in what follows."""
    calls_forward: bool | None
    """Whether the loss calls the forward of the model that it is given; None: can't be told."""
    unheard: str | None = None
    """Why it can't be told."""
    whole: float | None = None
    """The loss in evaluation mode."""
    parts: float | None = None
    """The mean of the losses of both halves of the batch, weighted by their items."""
    mean_of_parts: bool | None = None
    unsplit: str | None = None
    """Why a batch could not be split."""
    metric: str
    metrics: dict[str, float | None]
    item_scores: str | None = None
    """What is known of the test items' scores; None: the evaluation doesn't tell them."""
    repeats: bool
    """Whether two jobs of one seed make the same first steps, bit for bit."""
    threads: int
    model_bytes: int | None
    seconds: dict[str, float]
    """What building, the steps and the evaluation took, once."""


class Outcome(Record):
    """What came back from a trial's process."""

    measurement: Measurement
    home: str = ""
    """Where the trial's process found bench: where the run's lies, or it measured with another."""
    findings: Findings | None = None
    written: Written | None = None
    refused: bool = False
    """The reason is for the user to fix (a `BenchError`), and would be the same in every trial."""
