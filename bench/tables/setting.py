"""What every learner is made for, and what it can ask of a data frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd
from numpy.typing import NDArray

from tables.frames import Part

__all__ = ["Model", "Setting", "categories"]


@dataclass(frozen=True)
class Setting:
    """What a learner is made for: 0 classes mean numbers, and the seed is that of the split."""

    n_classes: int
    n_threads: int
    seed: int


class Model(Protocol):
    """A learner between its making and its end."""

    def fit(self, train: Part) -> None:
        """Learn from all that may be seen."""

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """Return numbers, or a row of probabilities for each row."""


def categories(X: pd.DataFrame) -> list[str]:
    """Return the columns that are no numbers."""
    return [name for name in X.columns if not pd.api.types.is_float_dtype(X[name])]
