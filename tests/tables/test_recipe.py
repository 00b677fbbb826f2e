"""The recipes behind `quality`: how they grow with a table, and when a network has enough."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import TabularRegressor, callbacks
from cnn_core.tables.parameters import plan_of
from cnn_core.tables.recipe import QUALITIES, batch_size_for, preset_of
from cnn_core.tables.views import View
from small_tables import DEAR, TABLE, classifier


@pytest.mark.parametrize("quality", QUALITIES)
def test_larger_tables_have_more_steps_rows_and_bins_and_no_more_networks(quality: str) -> None:
    sizes = (100, 5000, 10_000, 60_000, 10**7)
    presets = [preset_of(quality, n, 10, classes=False) for n in sizes]
    of_first = [preset.views[0] for preset in presets]
    for found in (
        [view.steps for view in of_first],
        [view.bins for view in of_first],
        [batch_size_for(n) for n in sizes],
        [-preset.members for preset in presets],
    ):
        assert found == sorted(found)
        assert found[-1] > found[0] or quality == "fast"
    assert of_first[-1].steps == 12_000


def test_thousands_of_numbers_share_bins_or_have_none() -> None:
    bins = [
        preset_of("balanced", 9000, n, classes=True).views[0].bins for n in (9, 1000, 3000, 9000)
    ]
    assert bins == [21, 8, 2, 0]


def test_bins_of_few_rows_are_few_where_numbers_are_learned() -> None:
    of_rows = [preset_of("best", n, 3, classes=False).views[1].bins for n in (9, 19, 20, 99, 160)]
    assert of_rows == [0, 0, 2, 9, 16]
    assert preset_of("best", 20, 3, classes=True).views[1].bins == 16


def test_bins_that_the_user_wants_are_had_however_few_rows_or_many_numbers_there_are() -> None:
    for n_rows, n_numbers in ((9, 3), (100, 9000)):
        plan = plan_of(TabularRegressor(n_bins=5), n_rows, n_numbers, classes=False)
        assert [view.bins for view in plan.views if view.hidden] == [5]


def test_settings_of_networks_leave_the_linear_view_as_it_is() -> None:
    plan = plan_of(
        TabularRegressor(quality="best", hidden_layer_sizes=9, n_bins=5), 100, 3, classes=False
    )
    assert [(view.hidden, view.bins) for view in plan.views] == [((9,), 5), ((9,), 5), ((), 0)]


def test_few_rows_on_a_plane_are_predicted_as_by_a_linear_model(name: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 12))
    y = X @ rng.normal(size=12)
    learner = TabularRegressor(random_state=0, backend=name, max_steps=600, n_members=2)
    learner.fit(X[:100], y[:100])
    assert learner.score(X[100:], y[100:]) > 0.96


class _Steps(callbacks.Callback):
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_train_end(self, state: callbacks.TrainingState) -> None:
        self.epochs.append(state.epoch)


def test_a_network_stops_when_it_is_not_getting_better(name: str) -> None:
    chance = np.random.RandomState(0).randint(0, 2, len(DEAR))
    seen = _Steps()
    learner = classifier(backend=name, max_steps=400, callbacks=[seen]).fit(TABLE, chance)
    # There is nothing to learn, so the first epochs are the best ones.
    assert max(seen.epochs) < 400 * 32 / len(DEAR) / 2
    assert learner.oof_loss_ < 0.8


def test_patience_is_a_share_of_the_steps() -> None:
    with pytest.raises(ValueError, match=r"patience: expected .* found 1"):
        View(patience=1.0)
