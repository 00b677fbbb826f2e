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
_LEAST_BATCH, _MOST_BATCH, _BATCHES = 32, 256, 40


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


# Above so many rows a network takes more steps, in the proportion of the root of the rows.
_ROWS_OF_USUAL_STEPS = 5000
_MOST_STEPS = 8000
# A step takes time for every bin of every number, so many numbers share these; below 2 are none.
_MOST_BINS_OF_ALL = 8192
# Of a network that learns from all rows, where nothing says when to stop.
_STEPS_WITHOUT_FOLDS = 200

_BALANCED = View(activation="relu", bins=32, steps=2000, averaging=0.995, dropout=0.0)
_PRESETS: dict[Quality, Preset] = {
    "fast": Preset((replace(_BALANCED, activation="silu"),)),
    "balanced": Preset((_BALANCED,), members=8),
    "best": Preset(
        (
            _BALANCED,
            replace(_BALANCED, normalization="batch", dropout=0.1, averaging=0.0),
            replace(_BALANCED, bins=0, hidden=(256, 256), learning_rate=0.002),
        )
    ),
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
    if n_rows < LEAST_ROWS_FOR_FOLDS:
        times = _STEPS_WITHOUT_FOLDS / _BALANCED.steps
    else:
        times = max(math.sqrt(n_rows / _ROWS_OF_USUAL_STEPS), 1.0)
    most_bins = _MOST_BINS_OF_ALL // max(n_numbers, 1)
    views = tuple(
        replace(
            view,
            steps=min(round(view.steps * times), _MOST_STEPS),
            bins=min(view.bins, most_bins) if most_bins > 1 else 0,
        )
        for view in preset.views
    )
    if classes:
        views = tuple(replace(view, smoothing=0.05, zero_pieces=True) for view in views)
    return replace(preset, views=views)


def batch_size_for(n_rows: int) -> int:
    """Return the rows of a step: few for a small table, else a power of two near a fortieth."""
    if n_rows <= _ROWS_OF_USUAL_STEPS:
        return _LEAST_BATCH
    size = 2.0 ** round(math.log2(n_rows / _BATCHES))
    return int(min(size, _MOST_BATCH))
