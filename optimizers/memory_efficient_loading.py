"""Memory-efficient loading: read the next batches while the current one is trained on.

What:    short step trials, each in a process of its own, read batches in the loop, in a thread of
         the process, and in one and two worker processes that live through the training; what is
         the fastest becomes the setting `loader` of the recipe. For a GPU they are pinned.
Helps:   items that are read from disk, decoded or made when they are needed, and a training that
         waits for them (the phase data_wait of the report).
Hurts:   a few batches more are in memory; a worker process costs its own memory (counted in) and
         sends batches through shared memory: where items are read fast, a thread or nothing wins.
Effect:  exact.
Source:  PyTorch documentation, torch.utils.data: multi-process loading, memory pinning.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from bench.errors import NotApplicable
from bench.interception.script import Script
from bench.interception.writing import Writing
from bench.job import Job
from bench.technique import Effect, Part, Parts, Probe, SettingsT, Stage, Technique

LEAST_GAIN = 1.02
"""Another reader must be faster by so much: less can't be told from noise in one probe each."""
READERS = ("thread", "1", "2")
AHEAD = 2
"""Batches that are read ahead, of a script's loader."""
WRITTEN = '''
from collections import deque
from concurrent.futures import ThreadPoolExecutor


def reading_ahead(kind):
    """Return a kind of DataLoader whose batches a thread draws in the meantime."""

    class ReadingAhead(kind):
        def __iter__(self):
            batches, nothing, waiting = super().__iter__(), object(), deque()
            with ThreadPoolExecutor(1) as pool:
                for _ in range({ahead}):
                    waiting.append(pool.submit(next, batches, nothing))
                while (batch := waiting.popleft().result()) is not nothing:
                    waiting.append(pool.submit(next, batches, nothing))
                    yield batch

    return ReadingAhead
'''


class MemoryEfficientLoading(Technique):
    """Set `loader` to the fastest one."""

    name: ClassVar[str] = "memory-efficient-loading"
    stage: ClassVar[Stage] = Stage.MACHINE
    effect: ClassVar[Effect] = Effect.EXACT
    touches: ClassVar[Parts | None] = Parts({Part.DATA_WAIT})
    conflicts: ClassVar[frozenset[str]] = frozenset({"cached-features"})  # reads items only once

    reader: Literal["auto", "thread", "workers"] = Field(
        "auto", description="auto: probe and choose; or a thread, or worker processes, unprobed"
    )
    workers: int = Field(1, ge=1, le=9, description="how many processes, for reader=workers")

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Probe as it is, then each reader; refuse where as it is, is the fastest."""
        if "loader" not in type(settings).model_fields:
            raise NotApplicable("the baseline's settings have no `loader`")
        if self.reader != "auto":
            chosen = "thread" if self.reader == "thread" else str(self.workers)
            return settings.model_copy(update={"loader": chosen})
        given: str | None = getattr(settings, "loader")  # noqa: B009 - of whatever class, as seen
        seconds: dict[str | None, float] = {}
        for loader in dict.fromkeys((given, *READERS)):
            found = probe(settings.model_copy(update={"loader": loader}))
            if found.seconds_per_item is not None:
                seconds[loader] = found.seconds_per_item
            elif loader == given or len(seconds) == 1:
                raise NotApplicable(str(found.reason))
        fastest = min(seconds, key=lambda loader: seconds[loader])
        if seconds[given] < LEAST_GAIN * seconds[fastest]:
            raise NotApplicable(
                f"reading batches {_words(given)}, as it is, is the fastest of"
                f" {', '.join(_words(loader) for loader in seconds)}"
            )
        return settings.model_copy(update={"loader": fastest})

    def apply(self, job: Job) -> Job:
        """Note that `batches` are read by what the setting says."""
        return job.wrap("batches", lambda batches: batches, by=self.name)

    def intercept(self, script: Script) -> None:
        """Leave the script as it is: the setting says how its loaders are read."""

    def write(self, script: Writing) -> None:
        """Make the loaders so that they read as the setting says."""
        loader: str | None = getattr(script.settings, "loader", None)
        if loader == "thread":
            script.loaders_instead("reading_ahead", WRITTEN.format(ahead=AHEAD), by=self.name)
        elif loader is not None:
            script.each_loader(by=self.name, num_workers=loader, prefetch_factor=str(AHEAD))


def _words(loader: str | None) -> str:
    if loader is None:
        return "in the loop"
    return "in a thread" if loader == "thread" else f"in {loader} processes"
