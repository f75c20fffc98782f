"""The engine: measures a baseline, applies techniques, decides, and exports what was measured."""

TYPE_CHECKING = False  # typing's own takes 10 ms, in which Ctrl-C would leave a traceback
if TYPE_CHECKING:
    from bench.data.loaders import from_loaders as from_loaders

__version__ = "0.1.0"
__all__ = ["from_loaders", "report"]


def report(**metrics: object) -> None:
    """Tell a run of `bench script` what the script has measured; elsewhere, do nothing.

    ``bench.report(accuracy=0.91)``: numbers, the last of each name counts.
    """


def __getattr__(name: str) -> object:
    """Import what takes torch only when it is asked for."""
    if name == "from_loaders":
        from bench.data.loaders import from_loaders

        return from_loaders
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
