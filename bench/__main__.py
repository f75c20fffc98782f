"""Start the command line: ``bench`` and ``python -m bench``.

Light, so that Ctrl-C while the rest is imported ends as it does at any time: with 3, and no trace.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

OURS = 70
"""The exit code of a bug of ours (EX_SOFTWARE): 1 says that something regressed, or failed."""


class Interrupts:
    """Raises `KeyboardInterrupt`, and remembers it: a library that is half imported may lose it."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self.came = True
        raise KeyboardInterrupt


def main() -> None:
    """Run the command line; after an interrupt, whatever it led to, the exit code is 3.

    What no user can mend is shown whole, and its exit code is that of no answer.
    """
    interrupts = Interrupts()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupts)
    try:
        from bench.cli.main import main as run

        run()
    except SystemExit as end:
        sys.exit(3 if interrupts.came and end.code == 2 else end.code)
    except BaseException:  # noqa: BLE001 - shown whole, with an exit code of its own
        if not interrupts.came:
            from traceback import print_exc

            print_exc()
        sys.exit(3 if interrupts.came else OURS)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder, whose files are no libraries
    main()
