"""The recipes of `quality`: networks, steps and bins of each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from cnn_core.tables.views import View

Quality: TypeAlias = Literal["fast", "balanced", "best"]

# Below this many rows none is held out: every network learns from all rows.
LEAST_ROWS_FOR_FOLDS = 10
# The number of folds is the number of networks in a bag, but within these limits.
FEWEST_FOLDS, MOST_FOLDS = 5, 10
# Least patience of early stopping, in epochs.
LEAST_PATIENCE = 3
# Batch size: a power of two near ``n_rows / _PARTS``, between these limits.
_LEAST_BATCH, _MOST_BATCH, _PARTS = 32, 128, 320


@dataclass(frozen=True)
class Preset:
    """Settings of a quality.

    Attributes
    ----------
    views : tuple of View
        A bag of networks is trained for each.
    members : int
        Networks of a bag.
    """

    views: tuple[View, ...]
    members: int = 5


# Above this many rows steps and bins grow with the root of the rows, up to these limits.
_ROWS_OF_USUAL_STEPS = 5000
_MOST_STEPS, _MOST_BINS = 12_000, 32
# Above this many rows a bag has `FEWEST_FOLDS` networks: each learns from enough rows.
_ROWS_OF_FEWEST_MEMBERS = 10_000
# Limit of the bins of all numbers together, since each bin costs time; below 2 bins for a number
# there are none.
_MOST_BINS_OF_ALL = 8192
# For regression a bin has at least this many rows, to avoid memorizing targets.
_ROWS_OF_A_BIN = 10
# Steps of a network without held-out rows, and so without early stopping.
_STEPS_WITHOUT_FOLDS = 200

_BALANCED = View(
    activation="relu",
    hidden=(96, 96),
    bins=16,
    learning_rate=0.006,
    steps=4000,
    patience=0.12,
    averaging=0.995,
    dropout=0.0,
)
_NORMALIZED = replace(
    _BALANCED,
    hidden=(128, 128),
    learning_rate=0.004,
    steps=3000,
    normalization="batch",
    dropout=0.1,
    averaging=0.0,
)
# Without hidden layers and bins: where few rows follow a straight line, the others see curves.
_LINEAR = replace(_BALANCED, hidden=(), bins=0, learning_rate=0.02, steps=2000)
_PRESETS: dict[Quality, Preset] = {
    "fast": Preset((replace(_BALANCED, hidden=(64, 64), learning_rate=0.008, steps=3000),)),
    "balanced": Preset((_BALANCED, _LINEAR), members=8),
    "best": Preset((_BALANCED, _NORMALIZED, _LINEAR), members=8),
}
QUALITIES: tuple[Quality, ...] = tuple(_PRESETS)


def preset_of(quality: Quality, n_rows: int, n_numbers: int, *, classes: bool) -> Preset:
    """Return the preset of a quality.

    Parameters
    ----------
    quality : str
    n_rows, n_numbers : int
        Rows and numeric features of the table.
    classes : bool
        Whether the task is classification.
    """
    preset = _PRESETS[quality]
    times = max(math.sqrt(n_rows / _ROWS_OF_USUAL_STEPS), 1.0)
    most_bins = min(_MOST_BINS, _MOST_BINS_OF_ALL // max(n_numbers, 1))
    if not classes:
        most_bins = min(most_bins, n_rows // _ROWS_OF_A_BIN)
    views = tuple(
        replace(
            view,
            steps=(
                _STEPS_WITHOUT_FOLDS
                if n_rows < LEAST_ROWS_FOR_FOLDS
                else min(round(view.steps * times), _MOST_STEPS)
            ),
            bins=min(round(view.bins * times), most_bins) if most_bins > 1 else 0,
        )
        for view in preset.views
    )
    if classes:
        views = tuple(
            replace(view, smoothing=0.05, zero_pieces=True) if view.hidden else view
            for view in views
        )
    members = preset.members if n_rows <= _ROWS_OF_FEWEST_MEMBERS else FEWEST_FOLDS
    return Preset(views, members)


def batch_size_for(n_rows: int) -> int:
    """Return the batch size, which grows with the table."""
    size = 2.0 ** round(math.log2(n_rows / _PARTS))
    return int(min(max(size, _LEAST_BATCH), _MOST_BATCH))
