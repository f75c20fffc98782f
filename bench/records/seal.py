"""Seal ``run.json``: what is fixed before the first trial stays as bench wrote it.

A margin, a metric's direction or how the error is shared out that is edited later would be another
verdict on the same trials. The seal tells of a slip of the hand, not of a forger's.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from bench.errors import BenchError
from bench.records.header import Header


def sealed(header: Header) -> Header:
    """Return a header with the seal of its content."""
    return header.model_copy(update={"seal": _hash(header, unset=True)})


def check_seal(header: Header, path: Path) -> None:
    """Raise `BenchError` where a header that was read is not what was sealed.

    One without a seal was written before there were any.
    """
    if header.seal is not None and header.seal != _hash(header, unset=False):
        raise BenchError(
            f"{path} was changed after bench wrote it; what a run was asked is fixed before its "
            "first trial: put back what stood there, or start a new run"
        )


def _hash(header: Header, unset: bool) -> str:
    """Return the SHA-256 of all but the seal, `unset`: with what is as it is by default."""
    content = header.model_dump(mode="json", exclude={"seal"}, exclude_unset=not unset)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
