"""Run blocks of trials on nodes that a scheduler owns; a block that is lost is run elsewhere.

A block's trials stay together: one task, on one node, that runs nothing else meanwhile. Code and
data reach nodes by a file system that they share, or lie there already: a node that finds other
code refuses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from time import monotonic
from types import MappingProxyType, TracebackType
from typing import NamedTuple, Protocol
from uuid import uuid4

from bench.errors import BenchError, shown
from bench.launch.node import versions
from bench.launch.task import Answer, Task
from bench.recipes import own_packages
from bench.records.measurement import Ending, Measurement, Status
from bench.trial.spec import Outcome, TrialSpec

MOST_LOST = 3
"""Times that a block is lost before it is given up: it may be what takes its nodes down."""
WAIT_SECONDS = 1.0
NO_NODE_SECONDS = 120.0
"""After which a run whose nodes are all gone ends."""
SCHEDULERS = MappingProxyType(
    {"ray": "bench.launch.ray:RayNodes", "slurm": "bench.launch.slurm:SlurmNodes"}
)
"""What starts tasks on nodes: called with how many at once, at most; None: as many as it has."""


class Ended(NamedTuple):
    """What came of a task: its answer, or None and how it was lost, and on which node."""

    name: str
    answer: str | None
    how: str = ""
    node: str = "its node"
    began: bool = True
    """False: it never ran, as the node that was chosen was gone by then."""


class Scheduler(Protocol):
    """What owns nodes."""

    @property
    def size(self) -> int:
        """Return how many tasks it can do at once."""

    def keep_in(self, folder: Path) -> None:
        """Keep what it writes in a folder that lasts as long as the run, over kills too."""

    def start(self, name: str, task: Task, avoid: frozenset[str]) -> bool:
        """Start a task, not on the nodes to avoid while there are others; False: none is idle.

        One of the same name and content that was started before this process is taken up.
        """

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Wait so long for tasks to end; return those that did."""

    def close(self) -> None:
        """End what runs."""


class _Asked(NamedTuple):
    """A task that was asked for, and what became of it so far."""

    name: str
    trials: tuple[TrialSpec, ...]
    is_block: bool = True
    lost_on: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return what tells this try of it from those that were lost."""
        return f"{self.name}.{len(self.lost_on)}"


class Nodes:
    """Gives blocks to nodes in the order in which they are issued, and keeps what comes back."""

    def __init__(
        self, scheduler: Scheduler, preload: Iterable[str], timeout_seconds: float
    ) -> None:
        self.scheduler = scheduler
        self.came: Callable[[Sequence[Answer]], None] = lambda answers: None
        """Told at once of the blocks that come back together, whatever their turn."""
        self.note: Callable[[str], None] = lambda text: None
        """Told of what was lost."""
        self._preload, self._timeout_seconds = tuple(preload), timeout_seconds
        self._code, self._versions = own_packages.digest(), versions()
        self._waiting: deque[_Asked] = deque()
        self._running: dict[str, _Asked] = {}
        self._back: dict[str, Answer] = {}

    def __enter__(self) -> Nodes:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what still runs: no trial outlives the run."""
        self.scheduler.close()

    @property
    def size(self) -> int:
        """Return how many blocks may run at once."""
        return self.scheduler.size

    def run(self, trial: TrialSpec) -> Outcome:
        """Run a trial that is paired with none, on any node, and wait for it."""
        asked = _Asked(f"alone-{uuid4().hex[:12]}", (trial,), is_block=False)
        self._waiting.appendleft(asked)
        answer = self.wait(asked.name)
        answer.leave_log(trial.arm, Path(trial.scratch))
        return answer.outcomes[0]

    def issue(self, name: str, trials: Iterable[TrialSpec]) -> None:
        """Let a block run as soon as a node is idle, after those that were issued before."""
        self._waiting.append(_Asked(name, tuple(trials)))
        self._start()

    def wait(self, name: str) -> Answer:
        """Wait for what came of a task; raise `BenchError` for a node that is not the run's place.

        So, too, where for a while no node is there.
        """
        idle_since = monotonic()
        while name not in self._back:
            self._start()
            self._take(self.scheduler.ended(WAIT_SECONDS))
            if self._running:
                idle_since = monotonic()
            elif monotonic() > idle_since + NO_NODE_SECONDS:
                raise BenchError(
                    f"no node has been there for {NO_NODE_SECONDS:g} s; what finished is kept: go "
                    "on with --resume"
                )
        return self._back.pop(name)

    def _start(self) -> None:
        while self._waiting:
            asked = self._waiting[0]
            if not self.scheduler.start(asked.key, self._task(asked), frozenset(asked.lost_on)):
                return
            self._running[asked.key] = self._waiting.popleft()

    def _task(self, asked: _Asked) -> Task:
        return Task(
            trials=asked.trials, preload=self._preload, timeout_seconds=self._timeout_seconds,
            folder=str(Path.cwd()), code_sha256=self._code, versions=self._versions,
        )  # fmt: skip

    def _take(self, ended: Iterable[Ended]) -> None:
        came: list[Answer] = []
        try:
            for one in ended:
                self._take_one(one, came)
        finally:  # those before one that ends the run are kept
            if came:
                self.came(came)

    def _take_one(self, ended: Ended, came: list[Answer]) -> None:
        asked = self._running.pop(ended.name)
        lost_on = (*asked.lost_on, *([ended.node] if ended.began else []))
        if ended.answer is not None:
            answer = Answer.model_validate_json(ended.answer)
        elif len(lost_on) < MOST_LOST:
            if ended.began:
                self.note(
                    f"{asked.name} was lost on {ended.node}: {ended.how}; it is run elsewhere"
                )
            self._waiting.appendleft(asked._replace(lost_on=lost_on))
            return
        else:
            answer = _given_up(asked.trials, lost_on, ended.how)
        if answer.refused:
            raise BenchError(answer.refused)
        self._back[asked.name] = answer
        if asked.is_block:
            came.append(answer)


def nodes_on(on: str, preload: Iterable[str], timeout_seconds: float) -> Nodes:
    """Return the nodes of a scheduler that is named, as ``ray`` or ``slurm:8``."""
    name, _, most = on.partition(":")
    if name not in SCHEDULERS or (most and not (most.isdecimal() and int(most) > 0)):
        raise BenchError(
            f'--on "{on}": there are {", ".join(SCHEDULERS)}; slurm:8 is 8 pairs at once, at most'
        )
    module, _, attribute = SCHEDULERS[name].partition(":")
    scheduler: Scheduler = getattr(import_module(module), attribute)(int(most) if most else None)
    return Nodes(scheduler, preload, timeout_seconds)


def _given_up(trials: Sequence[TrialSpec], nodes: Sequence[str], how: str) -> Answer:
    """Return the answer of a block that was lost so often that it may be what ends its nodes."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    reason = shown(f"lost {len(nodes)} times, on {', '.join(nodes)}; the last time: {how}")
    ending = Ending(status=Status.FAILED, reason=reason, started=now)
    failed = [Measurement.of(trial.identity, ending) for trial in trials]
    return Answer(outcomes=tuple(Outcome(measurement=one) for one in failed))
