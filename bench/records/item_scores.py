"""What each test item scored in a trial, packed: a bit where it is right or wrong, else float16."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from bench.records.schema import Count, Record, Text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Coding = Literal["bits", "float16"]
BITS = frozenset({0.0, 1.0})
ROUNDED = 1e-3
"""How far, relatively, a mean of scores may be moved by float16."""
SUMMED = 1e-6
"""How far metrics of single precision lie from the mean of right and wrong."""


class ItemScores(Record):
    """The scores of a test part's items, whose mean is the metric that judges."""

    order: Text
    """SHA-256 of what tells the items apart, in their order."""
    count: Count
    coding: Coding
    packed: Text
    """Base64 of the bits, the first item's the lowest of the first byte; or of float16, little
    endian."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Refuse what is not so many finite scores."""
        content = base64.b64decode(self.packed, validate=True)
        size = -(-self.count // 8) if self.coding == "bits" else 2 * self.count
        if not self.count or len(content) != size:
            raise ValueError(
                f"{len(content)} bytes are not the {self.coding} of {self.count} items"
            )
        if self.coding == "bits" and int.from_bytes(content, "little") >> self.count:
            raise ValueError(f"there are bits beyond those of {self.count} items")
        if self.coding == "float16" and not bool(abs(self.values()).max() < float("inf")):
            raise ValueError("a score is not finite")
        return self

    @classmethod
    def of(cls, scores: Sequence[float], order: str) -> Self:
        """Return scores packed; raise `ValueError` where float16 can't hold them."""
        if BITS.issuperset(scores):
            bits = "".join("1" if score else "0" for score in reversed(scores))
            content = int(bits, 2).to_bytes(-(-len(scores) // 8), "little")
            coding: Coding = "bits"
        else:
            content, coding = _halves(scores), "float16"
        packed = base64.b64encode(content).decode()
        return cls(order=order, count=len(scores), coding=coding, packed=packed)

    def values(self) -> NDArray[np.float64]:
        """Return the scores, item by item."""
        import numpy as np

        content = np.frombuffer(base64.b64decode(self.packed), np.uint8)
        if self.coding == "float16":
            return content.view("<f2").astype(np.float64)
        return np.unpackbits(content, count=self.count, bitorder="little").astype(np.float64)

    def mean_is(self, metric: float) -> bool:
        """Tell whether the metric is the mean of the scores, as far as the packing tells."""
        values = self.values()
        allowed = SUMMED if self.coding == "bits" else ROUNDED * float(abs(values).mean())
        return abs(float(values.mean()) - metric) <= allowed


class ByItem(Record):
    """What tells of the single test items, and whether training alone made the deployed model."""

    item_scores: ItemScores | None = None
    """Where the metric is their mean, and the evaluation tells."""
    finish_updates: Count | None = None
    """Of optimizers, after the last step: fine-tuning, or the other members of an ensemble."""
    learns: bool | None = None
    """Whether a technique changes what is learnt: another step's weights may be deployed then."""


def _halves(scores: Sequence[float]) -> bytes:
    try:
        return struct.pack(f"<{len(scores)}e", *scores)
    except OverflowError:
        largest = max(scores, key=abs)
        raise ValueError(f"a score of {largest:g} is too large for float16") from None
