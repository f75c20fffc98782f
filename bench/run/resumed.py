"""What is over where a run is gone on with: of that nothing is measured anew.

What a later stage was begun with would not be what comes out of an earlier one any more; and a
budget that cut it short counts from the beginning again.
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


def is_closed(session: Session, block: Block) -> bool:
    """Tell whether a process that is gone had measured a block, and gone on to later ones.

    An arm that it had left out would be held against a baseline of another time. Nodes measure
    blocks whole.
    """
    begun = any(map(session.holds, block)) and block[0].pair != session.taken_up
    return begun and session.spread is None and session.taken_up >= 0
