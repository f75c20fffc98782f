"""Whether two stored runs can be compared at all."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import BenchError
from bench.records.header import Header
from bench.records.measurement import BASELINE, Measurement
from bench.records.schema import Json

OF_MACHINE = ("cpu", "cores", "gpus")
"""Facts of the environment that make another machine."""


def check_comparable(old: Header, new: Header, across_machines: bool) -> None:
    """Raise `BenchError` where two runs are not of one baseline, or of unlike machines."""
    if both := [header.run for header in (old, new) if header.revisions]:
        raise BenchError(
            f"{' and '.join(both)} compared two revisions, so its baseline is another one each "
            "time: compare these with bench ab"
        )
    if what := unlike_work(old, new):
        raise BenchError(f"{old.run} and {new.run} differ in their {what}: nothing to compare")
    unlike = unlike_machines(old.environment, new.environment) + unlike_torch(old, new)
    if not across_machines and unlike:
        raise BenchError(
            f"{old.run} and {new.run} ran on unlike machines: {'; '.join(unlike)}; repeat one, or "
            "give --across-machines to compare ratios alone"
        )


def unlike_work(old: Header, new: Header) -> str | None:
    """Return in what two runs train something else; None where they train the same.

    A setting that one of them doesn't know was added or taken out: it is no other value.
    """
    shared = [k for k in old.settings if k in new.settings and k != "data_dir"]
    changed = [k for k in shared if old.settings[k] != new.settings[k]]
    for what, one, other in (
        ("baseline", old.baseline, new.baseline),
        ("device", old.device, new.device),
        ("number of threads", old.threads, new.threads),
        ("metric", old.metric, new.metric),
        (f"direction of {old.metric}", old.metric_direction, new.metric_direction),
        ("setting " + ", ".join(changed), True, not changed),
    ):
        if one != other:
            return what
    return None


def data_of(trials: Sequence[Measurement]) -> str | None:
    """Return the hash of what a run's baseline trains on; None where it is not known, or varies."""
    own = [t for t in trials if t.arm == BASELINE and t.ok and t.judges]
    hashes = {trial.data.sha256 for trial in own if trial.data}
    return hashes.pop() or None if len(hashes) == 1 else None


def check_same_data(
    old: Header, before: Sequence[Measurement], new: Header, after: Sequence[Measurement]
) -> None:
    """Raise `BenchError` where two runs trained on other content, wherever it lay."""
    one, other = data_of(before), data_of(after)
    if one and other and one != other:
        raise BenchError(
            f"{old.run} and {new.run} differ in the content of their data (sha256 {one[:12]}… and "
            f"{other[:12]}…): nothing to compare; repeat one on the data of the other"
        )


def new_settings(old: Header, new: Header) -> list[str]:
    """Return the settings that one of two runs doesn't know."""
    return sorted(set(old.settings) ^ set(new.settings))


def unlike_machines(old: Json, new: Json) -> list[str]:
    """Return in what two machines differ, as far as both are known."""
    return _unlike([(key, old.get(key), new.get(key)) for key in OF_MACHINE])


def unlike_torch(old: Header, new: Header) -> list[str]:
    """Return the versions of torch of two runs where they are two, and known."""
    return _unlike([("torch", torch_of(old), torch_of(new))])


def torch_of(header: Header) -> str | None:
    """Return the version of torch that a run was measured with."""
    found = (header.environment.get("packages") or {}).get("torch")
    return None if found is None else str(found)


def _unlike(facts: list[tuple[str, object, object]]) -> list[str]:
    return [
        f"{key} {one} and {other}"
        for key, one, other in facts
        if one != other and one is not None and other is not None
    ]
