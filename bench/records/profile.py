"""What one trial of the baseline tells of a training's parts: it bounds any technique's gain."""

from __future__ import annotations

from bench.records.schema import Amount, Count, Record, Text, Whole


class Profile(Record):
    """What a training is made of. Bytes are above the process's own start; None is unknown."""

    phase_seconds: dict[Text, Amount] = {}
    """Of all steps, warm-up included."""
    own_step: bool = False
    """Whether the job makes its steps by itself, and what it calls a phase is its own affair."""
    stops: bool = False
    """Whether it ends a training by how that goes."""
    built_bytes: Whole | None = None
    """Held once the job was built."""
    built_peak_bytes: Whole | None = None
    """At most until then."""
    backward_peak_bytes: Whole | None = None
    """At most until the first update."""
    parameter_bytes: Count | None = None
    """Of parameters and buffers."""
    gradient_bytes: Count | None = None
    optimizer_state_bytes: Count | None = None
    product_flops_per_second: Amount | None = None
    """Of a large float32 matrix product, in the same process."""


class Profiled(Record):
    """The profile of a trial, where one was taken."""

    profile: Profile | None = None
