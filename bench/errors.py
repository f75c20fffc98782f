"""The one exception tree: what a user can fix, and what a trial can report instead of a result."""


class BenchError(Exception):
    """Something the user can fix: shown as one line on stderr, exit code 2."""


class NotApplicable(BenchError):  # noqa: N818 - a statement about a technique, not a malfunction
    """A technique can't do what it promises here; the message is the reason shown to the user."""


class Clash(BenchError):  # noqa: N818 - a statement about two techniques
    """Two techniques want to replace the same part of a job, or declare a conflict."""


class Diverged(Exception):  # noqa: N818 - an outcome of a trial, recorded as a measurement
    """A loss became NaN or infinite; the trial is recorded as ``diverged``."""
