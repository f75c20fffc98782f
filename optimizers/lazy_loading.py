"""Lazy loading: read a record from disk when it is needed, instead of keeping all in memory.

What:    the baseline's setting `loading` becomes "lazy": each batch's records are read from the
         file that they are packed in, at their places, into memory that goes with the batch.
Helps:   data sets that fill the memory: what is read no longer grows with their size.
Hurts:   a read for every record and epoch; from slow disks training waits for it (see
         memory-efficient-loading).
Effect:  exact.
Source:  HDF5 documentation, dataset storage layouts; pread(2).
"""

from __future__ import annotations

from typing import ClassVar

from bench.errors import NotApplicable
from bench.technique import Effect, Part, Parts, Probe, SettingsT, Stage, Technique


class LazyLoading(Technique):
    """Set `loading` to lazy."""

    name: ClassVar[str] = "lazy-loading"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.EXACT
    touches: ClassVar[Parts | None] = Parts({Part.DATA_WAIT, Part.DATA})

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Change the setting; refuse where there is none, or it is lazy already."""
        loading = getattr(settings, "loading", None)
        if loading is None:
            raise NotApplicable("the baseline's settings have no `loading` that could be lazy")
        if loading == "lazy":
            raise NotApplicable("loading is lazy already: records are read when they are needed")
        return settings.model_copy(update={"loading": "lazy"})
