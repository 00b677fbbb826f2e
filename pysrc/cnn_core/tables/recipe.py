"""The recipes behind `quality`: the only place that says how good and how slow each of them is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from cnn_core.tables.views import View

Quality: TypeAlias = Literal["fast", "balanced", "best"]

# Below so many rows none is held out: every network learns from all of them.
LEAST_ROWS_FOR_FOLDS = 10
# There are as many folds as networks in a bag, but no fewer and no more than these.
FEWEST_FOLDS, MOST_FOLDS = 5, 10
# Epochs that a network may go without improving, however few it is to take.
LEAST_PATIENCE = 3
# Rows of a step: a power of two near one of so many parts of a table, between these two.
_LEAST_BATCH, _MOST_BATCH, _PARTS = 32, 128, 320


@dataclass(frozen=True)
class Preset:
    """What a quality stands for.

    Attributes
    ----------
    views : tuple of View
        One bag of networks for each.
    members : int
        Networks of a bag.
    """

    views: tuple[View, ...]
    members: int = 5


# Above so many rows steps and bins grow, in the proportion of the root of the rows, up to these.
_ROWS_OF_USUAL_STEPS = 5000
_MOST_STEPS, _MOST_BINS = 12_000, 32
# And above so many rows a bag has the fewest networks: each has learned from enough of them.
_ROWS_OF_FEWEST_MEMBERS = 10_000
# A step takes time for every bin of every number, so many numbers share these; below 2 are none.
_MOST_BINS_OF_ALL = 8192
# Where numbers are learned, a bin has at least so many rows, or it is learned by heart.
_ROWS_OF_A_BIN = 10
# Of a network that learns from all rows, where nothing says when to stop.
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
_PRESETS: dict[Quality, Preset] = {
    "fast": Preset((replace(_BALANCED, hidden=(64, 64), learning_rate=0.008, steps=3000),)),
    "balanced": Preset((_BALANCED,), members=8),
    "best": Preset((_BALANCED, _NORMALIZED), members=8),
}
QUALITIES: tuple[Quality, ...] = tuple(_PRESETS)


def preset_of(quality: Quality, n_rows: int, n_numbers: int, *, classes: bool) -> Preset:
    """Return the preset of a quality.

    Parameters
    ----------
    quality : str
    n_rows, n_numbers : int
        Of the table: its rows, and its features that are numbers.
    classes : bool
        Whether classes are to be learned, rather than numbers.
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
        views = tuple(replace(view, smoothing=0.05, zero_pieces=True) for view in views)
    members = preset.members if n_rows <= _ROWS_OF_FEWEST_MEMBERS else FEWEST_FOLDS
    return Preset(views, members)


def batch_size_for(n_rows: int) -> int:
    """Return the rows of a step: few for a small table, more for a large one."""
    size = 2.0 ** round(math.log2(n_rows / _PARTS))
    return int(min(max(size, _LEAST_BATCH), _MOST_BATCH))
