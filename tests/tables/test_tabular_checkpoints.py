"""The training of a learner of tables goes on after being killed, bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_core import callbacks
from small_tables import DEAR, PRICES, TABLE, classifier, regressor


class Killed(callbacks.Callback):
    """Ends everything after so many epochs of all networks, as a signal would."""

    def __init__(self, after: int) -> None:
        self.left = after

    def on_epoch_end(self, state: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 7])
def test_a_fit_that_was_killed_ends_as_if_it_had_not_been(
    tmp_path: Path, name: str, after: int
) -> None:
    whole = classifier(backend=name, max_steps=40).fit(TABLE, DEAR)
    folder = tmp_path / "checkpoint"
    killed = classifier(backend=name, max_steps=40, callbacks=[Killed(after)])
    with pytest.raises(KeyboardInterrupt):
        killed.fit(TABLE, DEAR, checkpoint=folder)
    resumed = classifier(backend=name, max_steps=40).fit(TABLE, DEAR, checkpoint=folder)
    np.testing.assert_array_equal(resumed.predict_proba(TABLE), whole.predict_proba(TABLE))
    np.testing.assert_array_equal(resumed.oof_prediction_, whole.oof_prediction_)
    # Once more: everything is read, nothing is trained.
    again = classifier(backend=name, max_steps=40).fit(TABLE, DEAR, checkpoint=folder)
    np.testing.assert_array_equal(again.predict_proba(TABLE), whole.predict_proba(TABLE))


def test_networks_whose_files_are_lost_are_trained_once_more(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    whole = regressor().fit(TABLE, PRICES, checkpoint=folder)
    next(folder.iterdir()).unlink()
    again = regressor().fit(TABLE, PRICES, checkpoint=folder)
    np.testing.assert_array_equal(again.predict(TABLE), whole.predict(TABLE))
    shutil.rmtree(folder)
    np.testing.assert_array_equal(
        regressor().fit(TABLE, PRICES).predict(TABLE), whole.predict(TABLE)
    )


def test_a_checkpoint_of_another_fit_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    learner = regressor().fit(TABLE, PRICES, checkpoint=folder)
    before = learner.predict(TABLE)
    with pytest.raises(ValueError, match="expected a checkpoint of this training"):
        learner.set_params(random_state=1).fit(TABLE, PRICES, checkpoint=folder)
    np.testing.assert_array_equal(learner.predict(TABLE), before)


def test_a_checkpoint_needs_a_seed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoint: expected a random_state that is a number"):
        regressor(random_state=None).fit(TABLE, PRICES, checkpoint=tmp_path / "checkpoint")


def test_a_time_budget_is_shared_by_all_networks() -> None:
    # A million steps of each network would take minutes.
    learner = regressor(max_steps=10**6, time_budget=0.6).fit(TABLE, PRICES)
    assert np.isfinite(learner.predict(TABLE)).all()
