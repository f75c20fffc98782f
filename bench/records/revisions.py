"""Two states of a user's own code that a run compares: which they are, and what each trains."""

from __future__ import annotations

from bench.records.recipe import Recipe
from bench.records.schema import Amount, Record, Text

HEAD = "head"
"""The arm of the changed side; the other one is the run's baseline."""


def named(given: str, commit: str | None) -> str:
    """Return what a side is called: ``main (0a1b2c3d4e5f)``, a folder, the working tree."""
    if commit:
        return f"{given} ({commit[:12]})"
    return "the working tree" if given == "." else given


class Revision(Record):
    """One side: a commit, or a folder as it was."""

    given: Text
    """As it was asked for: ``main``, ``HEAD~1``, ``.``, a folder."""
    commit: Text | None = None
    """None: what lay in a folder, whatever was committed."""
    recipe: Recipe
    places: dict[Text, Text] = {}
    """Where its files lay when the run began."""
    requirements: Text | None = None
    """The path of a requirements file; None: its packages are those of the run's environment."""
    versions: dict[Text, Text] = {}
    """Of the packages that it has in another version for that, by name."""

    @property
    def label(self) -> str:
        """Return what reports call it."""
        packages = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return named(self.given, self.commit) + (f" with {packages}" if packages else "")


class Revisions(Record):
    """What is compared, and by how much the changed side may be worse."""

    base: Revision
    head: Revision
    limits: dict[Text, Amount]
    """The share by which an objective may become worse, by name; the metric's is the margin."""
    repository: Text | None = None
    """The working tree whose commits are compared."""
    folder: Text | None = None
    """Where these were checked out; a run that is resumed checks them out there again."""
    within: Text = "."
    """The folder within the repository from which files were named."""
    alpha: Amount = 0.05
    """The error that is allowed in calling the changed side better."""

    @property
    def label(self) -> str:
        """Return which side is which, in one line."""
        return f"base is {self.base.label}, head is {self.head.label}"
