"""Replace attributes of modules and classes for a while, and put back exactly what was there."""

from __future__ import annotations

from typing import Any

ABSENT = object()


class Patches:
    """Attributes that were replaced; leaving the context puts them back, the last one first."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, object]] = []

    def __enter__(self) -> Patches:
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """Put everything back."""
        while self._before:
            owner, name, value = self._before.pop()
            if value is ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)

    def replace(self, owner: Any, name: str, value: object) -> None:
        """Replace an attribute of a module or class, one that is inherited too."""
        self._before.append((owner, name, vars(owner).get(name, ABSENT)))
        setattr(owner, name, value)
