"""The one exception tree: what a user can fix, and what a trial can report instead of a result."""


class BenchError(Exception):
    """Something the user can fix: shown as one line on stderr, exit code 2."""


class NotApplicable(BenchError):  # noqa: N818 - a statement about a technique, not a malfunction
    """A technique can't do what it promises here; the message is the reason shown to the user."""


class Clash(BenchError):  # noqa: N818 - a statement about two techniques
    """Two techniques want to replace the same part of a job, or declare a conflict."""


class Diverged(Exception):  # noqa: N818 - an outcome of a trial, recorded as a measurement
    """A loss became NaN or infinite; the trial is recorded as ``diverged``."""


def reason_of(error: BaseException, most: int = 300) -> str:
    """Return an exception's type and the first line of what it says."""
    lines = _text_of(error).strip().splitlines()
    said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return shown(said[:most])


def shown(said: object) -> str:
    """Return a text, or what an exception says, in characters that can be shown anywhere."""
    text = said if isinstance(said, str) else _text_of(said)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _text_of(said: object) -> str:
    try:
        return str(said)
    except Exception:  # noqa: BLE001 - a user's exception that can't even say what it is
        return ""
