"""Columns of many levels, of which each has few rows."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.tables.columns import read_first
from cnn_core.tables.frames import as_frame
from small_tables import regressor


@pytest.mark.parametrize(
    ("counts", "with_weights"),
    [
        ([1] * 10, 0),
        ([2] * 10, 10),
        ([5] * 18 + [1] * 10, 28),
        ([5] * 17 + [1] * 15, 17),
        ([12_000, 2, 1], 3),
    ],
    ids=["all different", "pairs", "few alone", "many alone", "two rare"],
)
def test_levels_of_one_row_have_weights_where_they_are_few(
    counts: list[int], with_weights: int
) -> None:
    names = np.repeat([f"level {number}" for number in range(len(counts))], counts)
    reader, _ = read_first(as_frame({"name": names}, "TabularClassifier"))
    assert reader.plans[0].n_levels == with_weights
    assert (reader.plans[0].dropped is None) == (with_weights > 0)


def test_what_two_rows_say_of_a_level_is_learned() -> None:
    effects = np.random.default_rng(0).normal(size=300)
    level = np.tile(np.arange(300), 2)
    y = effects[level] + np.random.default_rng(1).normal(scale=0.1, size=600)
    names = [f"level {number}" for number in range(300)]
    learner = regressor(max_steps=400).fit({"x": [names[number] for number in level]}, y)
    found = learner.predict({"x": names})
    assert np.corrcoef(found, effects)[0, 1] > 0.9
