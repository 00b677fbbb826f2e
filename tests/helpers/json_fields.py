"""The fields of a tree of JSON, and values of every kind to put in their place."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

MISSING = object()
VALUES = {
    "missing": MISSING,
    "null": None,
    "true": True,
    "-1": -1,
    "0": 0,
    "3": 3,
    "2**31": 2**31,
    "2**63": 2**63,
    "10**400": 10**400,
    "half": 0.5,
    "1e308": 1e308,
    "NaN": float("nan"),
    "text": "x",
    "NUL": "a\0b",
    "no text": "\ud800",
    "a dtype": "<U100000000",
    "a list": [],
    "lists": [[1], "a"],
    "an object": {},
    "objects": {"dict": [[[], 1]]},
    "a tuple": {"tuple": [2**31]},
}
# Those that might be taken for a size.
NUMBERS = ("2**31", "2**63", "10**400", "1e308", "a dtype", "a tuple")


def places_in(tree: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give every place in a tree, of a list the first three."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree[:3]):
        yield (*place, key)
        if isinstance(value, dict | list):
            yield from places_in(value, (*place, key))


def change(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    """Return a tree with another value in a place, or none at all."""
    tree = copy.deepcopy(tree)
    inside = tree
    for key in place[:-1]:
        inside = inside[key]
    if value is MISSING:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    return tree
