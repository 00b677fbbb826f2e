"""Typed access to the fields of a JSON file; a field of the wrong type is refused.

Errors name the full path of a field, such as ``data.features``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from cnn_core.validation import flag, measured, number, text, whole

__all__ = ["Fields", "numbers_in", "parsed"]

_Value = TypeVar("_Value")


class Fields:
    """A JSON object.

    Parameters
    ----------
    values : object
        The value in the file.
    place : str
        Its path in the file; empty for the root.

    Raises
    ------
    TypeError
        If it is not an object.
    """

    def __init__(self, values: Any, place: str = "") -> None:
        if not isinstance(values, dict):
            raise TypeError(f"{place or 'all of it'}: expected an object, found {values!r:.80}")
        self.values: dict[str, Any] = values
        self._place = place

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def name(self, name: str) -> str:
        """Return the full name of a field."""
        return f"{self._place}.{name}" if self._place else name

    def value(self, name: str) -> Any:
        """Return the value of a field, of any type.

        Raises
        ------
        ValueError
            If there is no such field.
        """
        if name not in self.values:
            raise ValueError(f"{self.name(name)}: expected a value, found none")
        return self.values[name]

    def fields(self, name: str) -> Fields:
        """Return the fields of an object in this one."""
        return Fields(self.value(name), self.name(name))

    def text(self, name: str) -> str:
        """Return a text."""
        return text(self.name(name), self.value(name))

    def flag(self, name: str) -> bool:
        """Return True or False."""
        return flag(self.name(name), self.value(name))

    def whole(self, name: str, least: int = 0, most: int = 2**63 - 1) -> int:
        """Return a whole number from `least` to `most`."""
        return whole(self.name(name), self.value(name), least, most)

    def number(self, name: str) -> float:
        """Return a finite number."""
        return number(self.name(name), self.value(name))

    def measured(self, name: str) -> float:
        """Return a number, which may be infinite or NaN."""
        found: float = measured(self.name(name), self.value(name))
        return found

    def optional(self, take: Callable[[str], _Value], name: str) -> _Value | None:
        """Return ``take(name)``, with `take` a method of this object; None for null."""
        return None if self.value(name) is None else take(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        found = self.value(name)
        if not isinstance(found, list):
            raise TypeError(f"{self.name(name)}: expected a list, found {found!r:.80}")
        return tuple(text(f"{self.name(name)}[{place}]", one) for place, one in enumerate(found))

    def names(self, name: str) -> tuple[str, ...]:
        """Return a list of distinct texts."""
        found = self.texts(name)
        if len(set(found)) != len(found):
            raise ValueError(f"{self.name(name)}: expected names that differ, found one twice")
        return found

    def numbers(self, name: str) -> float | list[float]:
        """Return a finite number, or a list of such."""
        return numbers_in(self.name(name), self.value(name))

    def text_by_text(self, name: str) -> dict[str, str]:
        """Return an object whose values are texts."""
        inside = self.fields(name)
        return {key: inside.text(key) for key in inside}


def parsed(contents: str | bytes) -> Any:
    """Parse JSON.

    Raises
    ------
    ValueError
        If it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(contents)
    except RecursionError as error:
        raise ValueError("expected JSON, found lists or objects that nest too deep") from error


def numbers_in(name: str, value: Any) -> float | list[float]:
    """Return a finite number, or a list of such.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    if isinstance(value, list):
        return [number(f"{name}[{place}]", one) for place, one in enumerate(value)]
    return number(name, value)
