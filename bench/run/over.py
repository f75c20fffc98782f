"""Go over a stage that is over again, where a run is gone on with: nothing is measured anew.

What a later stage was begun with would not be what comes out of this one any more; and a budget
that cut it short counts from the beginning again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.run.plan import Block

if TYPE_CHECKING:
    from bench.run.session import Session


def shown_again(session: Session, blocks: Sequence[Block]) -> bool:
    """Show what the journal has of blocks; tell whether that is anything."""
    held = [planned for block in blocks for planned in block if session.holds(planned)]
    for planned in held:
        session.trial(planned)
    return bool(held)
