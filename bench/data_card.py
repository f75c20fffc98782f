"""What a job trains on, by name, hash and size: as a job gives it and a record keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class DataCard:
    """What a job trains on, so that two measurements can be known to have used the same data."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", revalidate_instances="always"
    )
    name: str
    sha256: str
    """Of the content (arrays and labels) as it was read, not of file names."""
    train_items: Annotated[int, Field(ge=0, le=2**63 - 1)]
    test_items: Annotated[int, Field(ge=0, le=2**63 - 1)]
    notes: tuple[str, ...] = ()
    """Plain sentences for the report: dropped records, filled values, a held-out part."""

    @classmethod
    def of(
        cls, name: str, tensors: Iterable[Tensor], train_items: int, test_items: int
    ) -> DataCard:
        """Return the card of data that lies in tensors, hashing their content and shapes."""
        digest = hashlib.sha256()
        for tensor in tensors:
            array = tensor.detach().cpu().contiguous()
            digest.update(f"{array.dtype}{tuple(array.shape)}".encode())
            as_bytes = array.new_empty(0).bool().byte().dtype  # uint8, where torch isn't imported
            digest.update(array.reshape(-1).view(as_bytes).numpy().tobytes())
        return cls(name, digest.hexdigest(), train_items, test_items)

    def beside(self, *digests: str) -> DataCard:
        """Return the card of this data and of other files that a training begins with, if any."""
        if not digests:
            return self
        both = hashlib.sha256(" ".join((self.sha256, *digests)).encode())
        return replace(self, sha256=both.hexdigest())
