"""Import the names of a package on first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def on_first_use(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package whose names are imported on first use.

    Parameters
    ----------
    package : str
        The ``__name__`` of the package.
    modules : mapping of str to str
        For each name the module that defines it, relative to the package.
    """
    contents = vars(sys.modules[package])

    def imported(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{modules[name]}", package), name)
        contents[name] = value
        return value

    def names() -> list[str]:
        return sorted({*contents, *modules})

    return imported, names
