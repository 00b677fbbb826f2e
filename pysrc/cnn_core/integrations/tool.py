"""Shared code of callbacks for other tools."""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import Any, ClassVar

from cnn_core.training.callbacks import Callback
from cnn_core.training.state import EpochRecord, TrainingState

# Fields of an epoch that are counts, not measurements.
_COUNTS = ("epoch", "last_epoch", "samples")


class ToolCallback(Callback):
    """A callback with settings, and with handles of a tool during a training.

    A copy, also in another process, has only the settings.
    """

    # Names of the settings, which are also attributes.
    _settings: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._settings)
        return f"{type(self).__name__}({settings})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._settings}


def measured_in(record: EpochRecord) -> dict[str, float]:
    """Return the measurements of an epoch, by name."""
    found = {one.name: getattr(record, one.name) for one in fields(record)}
    return {
        name: float(value)
        for name, value in found.items()
        if value is not None and name not in _COUNTS
    }


def settings_of(state: TrainingState) -> dict[str, Any]:
    """Return the parameters of what is trained: those of an estimator, or of the recipe."""
    owner = state.owner
    if hasattr(owner, "get_params"):
        found: dict[str, Any] = owner.get_params(deep=False)
        return {name: value for name, value in found.items() if name != "callbacks"}
    recipe = state.recipe
    return {
        "network": repr(owner),
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
    }


def tool(module: str, package: str) -> Any:
    """Return a module of a tool.

    Raises
    ------
    ImportError
        Naming the package to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"this callback needs {package}: pip install {package} ({error})"
        ) from error
